/* SPDX-License-Identifier: MIT
 *
 * Descriptors under way to clients.
 */
#include "porterd/descriptors.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/macro.h"
#include "kernel/sockopt.h"
#include "porterd/connection.h"
#include "porterd/instances.h"
#include "porterd/kept.h"
#include "porterd/server.h"

/* Looking at all who have not read takes this part of the time at most, whoever asks for more again and again. */
#define LOOKING_PART 10

void descriptors_init(struct server *server, size_t max)
{
	size_t user_max = max / 4;

	quota_set_limit(&server->quota, QUOTA_DESCRIPTORS, max, user_max < FDSET_MAX ? FDSET_MAX : user_max);
}

static void forget_unread(struct connection *connection)
{
	quota_give(connection, QUOTA_DESCRIPTORS, connection->unread_descriptors);
	connection->unread_descriptors = 0;
}

/* Nobody tells when a client reads; whoever asks for the next one shows it mostly, others are looked at where it
 * matters. */
static void look_for_readers(struct server *server)
{
	uint64_t begin = clock_now_usec(), end;

	if (begin < server->look_for_readers_usec)
		return;
	for (struct connection *c = server->connections; c; c = c->next)
		if (c->unread_descriptors > 0 && sockopt_all_read(c->source.fd))
			forget_unread(c);
	end = clock_now_usec();
	server->look_for_readers_usec = end + (LOOKING_PART - 1) * (end - begin);
}

/* The kernel counts what all processes of porterd's user have under way, but the process of one client knows its own
 * alone. So of what one user may have, a half is for the first processes of that user, as much as one request can ask
 * for each, and a half is for all others, a few each. A client has one reply with descriptors under way at most. */
static bool is_for_another(const struct server *server, size_t count)
{
	size_t half = server->quota.limits[QUOTA_DESCRIPTORS].max / 2;
	size_t others = quota_user_connections(server->connections_max, &server->options.config.quota);
	size_t few = half / others, first = half / FDSET_MAX;

	return count > (few ? few : 1) && !instance_is_among(first ? first : 1);
}

int descriptors_reserve(struct connection *connection, size_t count)
{
	struct server *server = connection->server;
	const struct quota_limit *limit = &server->quota.limits[QUOTA_DESCRIPTORS];

	/* A call before this one may have been refused, with nothing sent since. */
	descriptors_settle(connection);
	if (server->single && is_for_another(server, count)) {
		quota_refuse(connection, "more isolated connections than may ask for so many files at a time");
		return -EBUSY;
	}
	if (limit->total + count > limit->harmless)
		look_for_readers(server);
	if (limit->total == 0) {
		quota_add(connection, QUOTA_DESCRIPTORS, count);
		return 0;
	}
	return quota_take(connection, QUOTA_DESCRIPTORS, count) < 0 ? -EBUSY : 0;
}

void descriptors_sent(struct connection *connection)
{
	forget_unread(connection);
	connection->unread_descriptors = connection->share.amounts[QUOTA_DESCRIPTORS];
}

void descriptors_settle(struct connection *connection)
{
	quota_give(connection, QUOTA_DESCRIPTORS,
		   connection->share.amounts[QUOTA_DESCRIPTORS] - connection->unread_descriptors);
}

/* --- the rest of a connection whose client has not read ----------------------------------------------------- */

/* Each read of the client is an edge, and so is its end. */
static void rest_ready(struct connection *connection, uint32_t events)
{
	(void)events;
	connection->events = EPOLLOUT | EPOLLET;
	if (connection->server->draining || sockopt_all_read(connection->source.fd))
		connection_close(connection);
}

/* Nothing is to be told but how many descriptors are unread, which is told of every connection. */
static int rest_save(struct connection *connection, struct kept *kept)
{
	(void)connection;
	(void)kept;
	return 0;
}

static int rest_restore(struct connection *connection, const struct kept *kept)
{
	(void)connection;
	return kept->has_unsent || kept->unread_size > 0 ? -EBADMSG : 0;
}

const struct protocol descriptors_rest_protocol = {
	.name = "unread",
	.type = SOCK_STREAM,
	.state_size = sizeof(struct connection),
	.ready = rest_ready,
	.save = rest_save,
	.restore = rest_restore,
};

bool descriptors_is_rest(const struct connection *connection)
{
	return connection->protocol == &descriptors_rest_protocol;
}

void descriptors_close(struct connection *connection, int fd)
{
	struct server *server = connection->server;
	uint32_t unread = connection->unread_descriptors;

	if (unread == 0 || descriptors_is_rest(connection) || server->draining || sockopt_all_read(fd)) {
		fd_close(fd);
		return;
	}
	(void)shutdown(fd, SHUT_RDWR);
	(void)connection_keep(server, &descriptors_rest_protocol, fd, unread);
}
