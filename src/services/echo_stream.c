/* SPDX-License-Identifier: MIT
 *
 * echo on streams: every byte back, in order. Memory is used only while a client does not read, and reading
 * stops for that time: at most one buffer's length waits.
 *
 * Bulk is not copied but spliced through a pipe, at half the CPU time; small messages would lose by that. Which of
 * the two a client sends is seen by what is received at once. Nothing is in the pipe, nor left over from copying,
 * when one takes over from the other, so the order can't change.
 */
#include <fcntl.h>
#include <sys/epoll.h>

#include "kernel/sockio.h"
#include "kernel/sockopt.h"
#include "serve/connection.h"
#include "services/protocols.h"
#include "services/shared.h"

/* 16 KiB would cost bulk transfers 40 % of their rate, 256 KiB gain nothing: they leave the cache. */
#define PIECE (64UL * 1024UL)

/* So much at once is bulk, or no bulk any more; and it takes so many in a row to believe it. */
#define BULK_MIN (32UL * 1024UL)
#define BULK_END (8UL * 1024UL)
#define BULK_RECEIVES 4
#define SMALL_RECEIVES 4

/* Told of once for each arrival. At an end, or at urgent data, before which a receive stops, more than EPOLLIN is
 * told. */
#define EDGE (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET)
/* It pays off for those that stay. The count wraps, so who was not fit for it, or came back from bulk or from not
 * reading, is looked at again 256 exchanges later. */
#define EDGE_AFTER 16

struct echo_stream {
	struct connection connection;
	struct pipe pipe;   /* borrowed while bytes are in it */
	uint8_t streak;	    /* receives in a row that speak for the other way */
	uint8_t exchanges;  /* counted to see that it stays */
	bool pipe_borrowed; /* pipe is valid */
	bool splices;
	bool unspliceable; /* the kernel has no splice for this kind of socket */
	char *unsent; /* received and not yet taken by the client */
	size_t begin, end;
};

static void give_pipe_back(struct echo_stream *echo)
{
	if (echo->pipe_borrowed)
		pipe_pool_return(&services_of(echo->connection.population)->pipes, &echo->pipe);
	echo->pipe_borrowed = false;
	(void)connection_hold_bytes(&echo->connection, 0);
}

static void echo_stream_clear(struct connection *connection)
{
	struct echo_stream *echo = CONTAINER_OF(connection, struct echo_stream, connection);

	free(TAKE_POINTER(echo->unsent));
	give_pipe_back(echo);
}

/* Sends what is left over. True when nothing is any more; the connection may be closed. */
static bool send_unsent(struct echo_stream *echo)
{
	ssize_t sent = sockio_send(echo->connection.source.fd, echo->unsent + echo->begin, echo->end - echo->begin,
				   MSG_DONTWAIT);

	if (sent < 0 && sent != -EAGAIN) {
		connection_close(&echo->connection);
		return false;
	}
	if (sent > 0)
		echo->begin += (size_t)sent;
	if (echo->begin < echo->end)
		return false;

	free(TAKE_POINTER(echo->unsent));
	(void)connection_hold_bytes(&echo->connection, 0);
	return true;
}

static void keep_unsent(struct echo_stream *echo, const char *data, size_t size)
{
	echo->unsent = malloc(size);
	if (!echo->unsent || connection_hold_bytes(&echo->connection, size) < 0) {
		connection_close(&echo->connection);
		return;
	}
	memcpy(echo->unsent, data, size);
	echo->begin = 0;
	echo->end = size;
	connection_watch(&echo->connection, EPOLLOUT);
}

/* Sends what is in the pipe. True when nothing is any more; the connection may be closed. */
static bool splice_out(struct echo_stream *echo)
{
	while (echo->pipe.held > 0) {
		ssize_t sent = sockio_splice(echo->pipe.read_fd, echo->connection.source.fd, echo->pipe.held,
					     MSG_DONTWAIT);

		if (sent == -EAGAIN && connection_hold_bytes(&echo->connection, echo->pipe.held) >= 0) {
			connection_watch(&echo->connection, EPOLLOUT);
			return false;
		}
		if (sent <= 0) {
			connection_close(&echo->connection);
			return false;
		}
		echo->pipe.held -= (size_t)sent;
	}
	return true;
}

/* Back to copying, with an empty pipe. */
static void splice_end(struct echo_stream *echo)
{
	give_pipe_back(echo);
	echo->splices = false;
	echo->streak = 0;
	connection_watch(&echo->connection, EPOLLIN);
}

/* Receives into the pipe, which is empty. True if something is in it now, or copying shall go on. */
static bool splice_in(struct echo_stream *echo)
{
	struct connection *connection = &echo->connection;
	ssize_t received;

	if (!echo->pipe_borrowed && pipe_pool_borrow(&services_of(connection->population)->pipes, &echo->pipe) < 0) {
		splice_end(echo);
		return true;
	}
	echo->pipe_borrowed = true;

	received = sockio_splice(connection->source.fd, echo->pipe.write_fd, PIECE, MSG_DONTWAIT);
	if (received == -EAGAIN) {
		give_pipe_back(echo);
		connection_watch(connection, EPOLLIN);
		return false;
	}
	if (received == -EINVAL) {
		echo->unspliceable = true;
		splice_end(echo);
		return true;
	}
	if (received <= 0) {
		if (!connection_pause(connection, (int)received))
			connection_close(connection);
		return false;
	}
	connection->population->counts.of[COUNT_REQUESTS]++;
	echo->pipe.held = (size_t)received;
	echo->streak = received < (ssize_t)BULK_END ? echo->streak + 1 : 0;
	return true;
}

/* One piece through the pipe. True if copying shall go on. */
static bool splice_piece(struct echo_stream *echo)
{
	if (!splice_out(echo) || !splice_in(echo) || !echo->splices)
		return !echo->connection.closed && !echo->splices;
	if (!splice_out(echo))
		return false;
	/* Others need it before this client's next piece comes. */
	give_pipe_back(echo);
	if (echo->streak >= SMALL_RECEIVES)
		splice_end(echo);
	else
		connection_watch(&echo->connection, EPOLLIN);
	return false;
}

/* By its level epoll polls a connection once more after it was served, which misses the cache where there are
 * thousands. By its edge it does not, but then nobody tells of bytes that were left. So this is for who leaves none
 * without a word: a receive fills the buffer, or more than EPOLLIN was told. What was queued before the socket took
 * nothing but bytes can stop a receive as well, so the queue must be empty once: to be asked after a receive and before
 * its answer, for which most clients wait. */
static bool is_fit_for_edge(struct echo_stream *echo)
{
	int fd = echo->connection.source.fd;

	return !(echo->connection.events & EPOLLET) && ++echo->exchanges == EDGE_AFTER &&
	       sockopt_pass_nothing(fd) >= 0 && sockopt_received(fd) == 0;
}

static void watch_next(struct echo_stream *echo, size_t received, uint32_t events, bool fit)
{
	if (fit)
		connection_watch(&echo->connection, EDGE);
	else if ((echo->connection.events & EPOLLET) && (received == PIECE || events != EPOLLIN) &&
		 connection_watch_again(&echo->connection) < 0)
		connection_close(&echo->connection);
}

static void echo_stream_ready(struct connection *connection, uint32_t events)
{
	struct echo_stream *echo = CONTAINER_OF(connection, struct echo_stream, connection);
	struct population *population = connection->population;
	const struct buffer *buffer = &population->buffer;
	ssize_t received, sent;
	bool fit;

	/* What was copied before the first splice goes before it. */
	if (echo->unsent) {
		if (!send_unsent(echo))
			return;
		connection_watch(connection, EPOLLIN);
	}
	if (echo->splices && !splice_piece(echo))
		return;

	received = sockio_receive(connection->source.fd, buffer->data, PIECE, MSG_DONTWAIT);
	if (received == -EAGAIN) {
		/* By the level, whoever is wrong in that is asked again. */
		connection_watch(connection, EPOLLIN);
		return;
	}
	/* At the end nothing is left over: what was left over would have stopped the reading. */
	if (received <= 0) {
		if (!connection_pause(connection, (int)received))
			connection_close(connection);
		return;
	}
	population->counts.of[COUNT_REQUESTS]++;
	if (received < (ssize_t)BULK_MIN || echo->unspliceable) {
		if (echo->streak > 0)
			echo->streak = 0;
	} else if (++echo->streak >= BULK_RECEIVES) {
		echo->splices = true;
	}

	fit = is_fit_for_edge(echo);
	sent = sockio_send(connection->source.fd, buffer->data, (size_t)received, MSG_DONTWAIT);
	if (sent == -EAGAIN)
		sent = 0;
	if (sent < 0)
		connection_close(connection);
	else if (sent < received)
		keep_unsent(echo, buffer->data + sent, (size_t)(received - sent));
	else
		watch_next(echo, (size_t)received, events, fit);
}

/* What is in the pipe goes into memory; nothing else is left over then. */
static int empty_pipe(struct echo_stream *echo)
{
	size_t size = echo->pipe.held;

	echo->unsent = malloc(size);
	if (!echo->unsent)
		return -ENOMEM;
	echo->begin = 0;
	echo->end = 0;
	while (echo->pipe.held > 0) {
		ssize_t taken = read(echo->pipe.read_fd, echo->unsent + echo->end, echo->pipe.held);

		if (taken <= 0)
			return taken < 0 ? -errno : -EPIPE;
		echo->end += (size_t)taken;
		echo->pipe.held -= (size_t)taken;
	}
	return 0;
}

static int echo_stream_save(struct connection *connection, struct leftovers *left)
{
	struct echo_stream *echo = CONTAINER_OF(connection, struct echo_stream, connection);

	if (echo->pipe_borrowed && echo->pipe.held > 0) {
		int r = empty_pipe(echo);

		if (r < 0)
			return r;
	}
	if (echo->unsent) {
		left->has_unsent = true;
		left->unsent = echo->unsent + echo->begin;
		left->unsent_size = echo->end - echo->begin;
	}
	return 0;
}

static int echo_stream_restore(struct connection *connection, const struct leftovers *left)
{
	if (left->unsent_size > PIECE || left->unread_size > 0)
		return -EBADMSG;
	if (left->unsent_size > 0)
		keep_unsent(CONTAINER_OF(connection, struct echo_stream, connection), left->unsent, left->unsent_size);
	return 0;
}

/* --- one client alone, by blocking calls ---------------------------------------------------------------------- */

static int send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t sent = sockio_send(fd, data, size, 0);

		if (sent < 0 && sent != -EINTR)
			return (int)sent;
		data += sent > 0 ? sent : 0;
		size -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

static int splice_all(int pipe, int fd, size_t size)
{
	while (size > 0) {
		ssize_t sent = sockio_splice(pipe, fd, size, 0);

		if (sent <= 0 && sent != -EINTR)
			return sent < 0 ? (int)sent : -EPIPE;
		size -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

/* As long as bulk comes. 1: no more of it, or this way is none for this socket; otherwise it is over. */
static int serve_bulk(int fd)
{
	_cleanup_close_ int from = -EBADF, to = -EBADF;
	unsigned streak = 0;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return 1;
	from = ends[0];
	to = ends[1];
	while (streak < SMALL_RECEIVES) {
		ssize_t received = sockio_splice(fd, to, PIECE, 0);
		int r;

		if (received == -EINTR)
			continue;
		if (received == -EINVAL)
			return 1;
		if (received <= 0)
			return (int)received;
		streak = received < (ssize_t)BULK_END ? streak + 1 : 0;
		r = splice_all(from, fd, (size_t)received);
		if (r < 0)
			return r;
	}
	return 1;
}

static int echo_stream_serve(int fd, struct buffer *buffer)
{
	unsigned streak = 0;

	for (;;) {
		ssize_t received = sockio_receive(fd, buffer->data, PIECE, 0);
		int r;

		if (received == -EINTR)
			continue;
		if (received <= 0)
			return (int)received;
		r = send_all(fd, buffer->data, (size_t)received);
		if (r < 0)
			return r;

		streak = received < (ssize_t)BULK_MIN ? 0 : streak + 1;
		if (streak < BULK_RECEIVES)
			continue;
		r = serve_bulk(fd);
		if (r <= 0)
			return r;
		streak = 0;
	}
}

const struct protocol echo_stream_protocol = {
	.name = "echo",
	.type = SOCK_STREAM,
	.state_size = sizeof(struct echo_stream),
	.ready = echo_stream_ready,
	.clear = echo_stream_clear,
	.save = echo_stream_save,
	.restore = echo_stream_restore,
	.serve = echo_stream_serve,
};
