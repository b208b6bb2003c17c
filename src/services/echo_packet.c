/* SPDX-License-Identifier: MIT
 *
 * echo on seqpacket and datagram sockets: every message back whole, empty ones too.
 */
#include <sys/epoll.h>

#include "kernel/sockio.h"
#include "kernel/sockopt.h"
#include "serve/answers.h"
#include "serve/connection.h"
#include "serve/listener.h"
#include "services/protocols.h"

/* So many datagrams are taken in a row before others have their turn. */
#define DATAGRAMS_PER_ROUND 64

struct echo_packet {
	struct connection connection;
	char *packet; /* received and not yet taken by the client; may be empty, so it is never NULL then */
	size_t size;
};

static void echo_packet_clear(struct connection *connection)
{
	struct echo_packet *echo = CONTAINER_OF(connection, struct echo_packet, connection);

	free(TAKE_POINTER(echo->packet));
}

/* Sends a packet; a send buffer that is too small for it grows first. */
static ssize_t send_packet(int fd, const void *packet, size_t size, int flags)
{
	ssize_t sent = sockio_send(fd, packet, size, flags);

	if (sent == -EMSGSIZE && sockopt_grow_send_buffer(fd) >= 0)
		sent = sockio_send(fd, packet, size, flags);
	return sent;
}

static void keep_packet(struct echo_packet *echo, const char *packet, size_t size)
{
	echo->packet = malloc(size + 1);
	if (!echo->packet || connection_hold_bytes(&echo->connection, size) < 0) {
		connection_close(&echo->connection);
		return;
	}
	memcpy(echo->packet, packet, size);
	echo->size = size;
	connection_watch(&echo->connection, EPOLLOUT);
}

static void echo_packet_ready(struct connection *connection, uint32_t events)
{
	struct echo_packet *echo = CONTAINER_OF(connection, struct echo_packet, connection);
	struct population *population = connection->population;
	int fd = connection->source.fd;
	ssize_t received, sent;
	bool end;

	(void)events;
	if (echo->packet) {
		sent = send_packet(fd, echo->packet, echo->size, MSG_DONTWAIT);
		if (sent == -EAGAIN)
			return;
		if (sent < 0) {
			connection_close(connection);
			return;
		}
		free(TAKE_POINTER(echo->packet));
		(void)connection_hold_bytes(connection, 0);
		connection_watch(connection, EPOLLIN);
	}

	received = sockio_receive_packet(fd, population->buffer.data, population->buffer.size, &end, MSG_DONTWAIT);
	if (received == -EAGAIN)
		return;
	if (received < 0 || end) {
		if (!connection_pause(connection, (int)received))
			connection_close(connection);
		return;
	}
	/* Only a privileged sender can make a packet that nobody else could send back. */
	if ((size_t)received > population->buffer.size) {
		population->counts.of[COUNT_OVERSIZED]++;
		connection_close(connection);
		return;
	}
	population->counts.of[COUNT_REQUESTS]++;

	sent = send_packet(fd, population->buffer.data, (size_t)received, MSG_DONTWAIT);
	if (sent == -EAGAIN)
		keep_packet(echo, population->buffer.data, (size_t)received);
	else if (sent < 0)
		connection_close(connection);
}

static int echo_packet_save(struct connection *connection, struct leftovers *left)
{
	struct echo_packet *echo = CONTAINER_OF(connection, struct echo_packet, connection);

	left->has_unsent = echo->packet;
	left->unsent = echo->packet;
	left->unsent_size = echo->packet ? echo->size : 0;
	return 0;
}

static int echo_packet_restore(struct connection *connection, const struct leftovers *left)
{
	if (left->unsent_size > connection->population->buffer.size || left->unread_size > 0)
		return -EBADMSG;
	if (left->has_unsent)
		keep_packet(CONTAINER_OF(connection, struct echo_packet, connection), left->unsent,
			    left->unsent_size);
	return 0;
}

static int echo_packet_serve(int fd, struct buffer *buffer)
{
	for (;;) {
		bool end;
		ssize_t sent, received = sockio_receive_packet(fd, buffer->data, buffer->size, &end, 0);

		if (received == -EINTR)
			continue;
		if (received < 0 || end)
			return (int)received;
		if ((size_t)received > buffer->size)
			return -EMSGSIZE;

		do
			sent = send_packet(fd, buffer->data, (size_t)received, 0);
		while (sent == -EINTR);
		if (sent < 0)
			return (int)sent;
	}
}

const struct protocol echo_packet_protocol = {
	.name = "echo",
	.type = SOCK_SEQPACKET,
	/* Credentials tell an empty packet from the end. */
	.attestation = PROTOCOL_ATTEST_PRESENCE,
	.state_size = sizeof(struct echo_packet),
	.ready = echo_packet_ready,
	.clear = echo_packet_clear,
	.save = echo_packet_save,
	.restore = echo_packet_restore,
	.serve = echo_packet_serve,
};

/* 1, or 0 for none. */
static int echo_one(struct listener *listener)
{
	struct population *population = listener->population;
	struct sockio_sender sender;
	ssize_t received = sockio_receive_attested(listener->source.fd, population->buffer.data, population->buffer.size,
						   &sender, MSG_DONTWAIT);

	if (received == -EBADMSG) {
		population->counts.of[COUNT_UNATTESTED]++;
		return 1;
	}
	if (received < 0) {
		listener_failed(listener, (int)received);
		return 0;
	}
	population->counts.of[COUNT_REQUESTS]++;
	if ((size_t)received > population->buffer.size)
		population->counts.of[COUNT_OVERSIZED]++;
	else
		answers_send(listener->answers, population->buffer.data, (size_t)received, &sender);
	sockio_sender_clear(&sender);
	return 1;
}

/* As many as are there, up to a bound, by one call each way. Returns how many. */
static int echo_many(struct listener *listener, size_t max)
{
	struct population *population = listener->population;
	struct sockio_datagram datagrams[SOCKIO_DATAGRAMS_MAX];
	size_t room = population->batch.size / SOCKIO_DATAGRAMS_MAX;
	int count;

	for (size_t i = 0; i < SOCKIO_DATAGRAMS_MAX; i++) {
		datagrams[i].buffer = population->batch.data + i * room;
		datagrams[i].room = room;
	}
	count = sockio_receive_datagrams(listener->source.fd, datagrams, MIN_OF(max, (size_t)SOCKIO_DATAGRAMS_MAX));
	if (count < 0)
		listener_failed(listener, count);
	for (int i = 0; i < count; i++) {
		if (datagrams[i].size < 0) {
			population->counts.of[COUNT_UNATTESTED]++;
			continue;
		}
		population->counts.of[COUNT_REQUESTS]++;
		if ((size_t)datagrams[i].size > room) {
			population->counts.of[COUNT_OVERSIZED]++;
			sockio_sender_clear(&datagrams[i].sender);
			datagrams[i].size = -EMSGSIZE;
		}
	}
	if (count > 0)
		answers_return(listener->answers, datagrams, (size_t)count);
	for (int i = 0; i < count; i++)
		if (datagrams[i].size >= 0)
			sockio_sender_clear(&datagrams[i].sender);
	return count < 0 ? 0 : count;
}

/* Many at once are cheaper by one call, a single one is dearer: so only where the last time showed a queue. */
static void echo_datagrams(struct listener *listener)
{
	struct buffer *batch = &listener->population->batch;
	size_t taken = 0;

	if (!listener->queued)
		taken = (size_t)echo_one(listener);
	listener->queued = false;
	while (taken < DATAGRAMS_PER_ROUND) {
		int count;

		if (!batch->data && buffer_open_many(batch, SOCKIO_DATAGRAMS_MAX) < 0) {
			if (echo_one(listener) == 0)
				return;
			taken++;
			continue;
		}
		count = echo_many(listener, DATAGRAMS_PER_ROUND - taken);
		taken += (size_t)count;
		listener->queued = listener->queued || count > 1;
		/* What came in the meantime is told by epoll. */
		if (count < SOCKIO_DATAGRAMS_MAX)
			return;
	}
}

const struct protocol echo_datagram_protocol = {
	.name = "echo",
	.type = SOCK_DGRAM,
	/* Credentials tell whose socket an answer may go to. */
	.attestation = PROTOCOL_ATTEST_PRESENCE,
	.datagrams = echo_datagrams,
};
