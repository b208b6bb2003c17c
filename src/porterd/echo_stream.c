/* SPDX-License-Identifier: MIT
 *
 * echo on streams: every byte back, in order. Memory is used only while a client does not read, and reading
 * stops for that time: at most one buffer's length waits.
 */
#include <sys/epoll.h>

#include "kernel/sockio.h"
#include "porterd/connection.h"
#include "porterd/server.h"
#include "porterd/services.h"

/* 16 KiB would cost bulk transfers 40 % of their rate, 256 KiB gain nothing: they leave the cache. */
#define PIECE (64UL * 1024UL)

struct echo_stream {
	struct connection connection;
	char *rest; /* received and not yet taken by the client */
	size_t begin, end;
};

static void echo_stream_clear(struct connection *connection)
{
	struct echo_stream *echo = CONTAINER_OF(connection, struct echo_stream, connection);

	free(TAKE_POINTER(echo->rest));
}

/* Sends what is left over. True when nothing is any more; the connection may be closed. */
static bool send_rest(struct echo_stream *echo)
{
	ssize_t sent = sockio_send(echo->connection.source.fd, echo->rest + echo->begin, echo->end - echo->begin,
				   MSG_DONTWAIT);

	if (sent < 0 && sent != -EAGAIN) {
		connection_close(&echo->connection);
		return false;
	}
	if (sent > 0)
		echo->begin += (size_t)sent;
	if (echo->begin < echo->end)
		return false;

	free(TAKE_POINTER(echo->rest));
	return true;
}

static void keep_rest(struct echo_stream *echo, const char *data, size_t size)
{
	echo->rest = malloc(size);
	if (!echo->rest) {
		connection_close(&echo->connection);
		return;
	}
	memcpy(echo->rest, data, size);
	echo->begin = 0;
	echo->end = size;
	connection_watch(&echo->connection, EPOLLOUT);
}

static void echo_stream_ready(struct connection *connection, uint32_t events)
{
	struct echo_stream *echo = CONTAINER_OF(connection, struct echo_stream, connection);
	struct server *server = connection->server;
	ssize_t received, sent;

	(void)events;
	server->active = true;
	if (echo->rest) {
		if (!send_rest(echo))
			return;
		connection_watch(connection, EPOLLIN);
	}

	received = sockio_receive(connection->source.fd, server->buffer.data, PIECE, MSG_DONTWAIT);
	if (received == -EAGAIN)
		return;
	/* At the end nothing is left over: what was left over would have stopped the reading. */
	if (received <= 0) {
		connection_close(connection);
		return;
	}
	server->counts.requests++;

	sent = sockio_send(connection->source.fd, server->buffer.data, (size_t)received, MSG_DONTWAIT);
	if (sent == -EAGAIN)
		sent = 0;
	if (sent < 0)
		connection_close(connection);
	else if (sent < received)
		keep_rest(echo, server->buffer.data + sent, (size_t)(received - sent));
}

static int echo_stream_serve(int fd, struct server_buffer *buffer)
{
	for (;;) {
		ssize_t received = sockio_receive(fd, buffer->data, PIECE, 0);

		if (received == -EINTR)
			continue;
		if (received <= 0)
			return (int)received;

		for (ssize_t done = 0; done < received;) {
			ssize_t sent = sockio_send(fd, buffer->data + done, (size_t)(received - done), 0);

			if (sent < 0 && sent != -EINTR)
				return (int)sent;
			if (sent > 0)
				done += sent;
		}
	}
}

const struct protocol echo_stream_protocol = {
	.name = "echo",
	.type = SOCK_STREAM,
	.state_size = sizeof(struct echo_stream),
	.ready = echo_stream_ready,
	.clear = echo_stream_clear,
	.serve = echo_stream_serve,
};
