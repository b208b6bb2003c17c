/* SPDX-License-Identifier: MIT
 *
 * One connection of porterd.
 */
#include "opener/connection.h"

#include <sys/epoll.h>

#include "base/macro.h"
#include "kernel/sockio.h"

/* A porterd with much to ask does not keep the other connections waiting. */
#define REQUESTS_PER_WAKEUP 16

struct connection {
	struct connection_owner *owner;
	struct connection *next, *previous;
	int fd; /* owned */
	sd_event_source *source;
	struct response *waiting; /* a reply that found no room; nothing is received meanwhile */
};

static void response_free(struct response *response)
{
	if (response)
		fdset_clear(&response->fds);
	free(response);
}

static void connection_free(struct connection *connection)
{
	struct connection_owner *owner = connection->owner;

	if (connection->previous)
		connection->previous->next = connection->next;
	else if (owner->first == connection)
		owner->first = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;

	sd_event_source_disable_unref(connection->source);
	response_free(connection->waiting);
	fd_close(connection->fd);
	free(connection);
}

static void connection_close(struct connection *connection)
{
	struct connection_owner *owner = connection->owner;

	connection_free(connection);
	owner->closed(owner);
}

static int send_response(int fd, struct response *response)
{
	struct iovec parts[] = {
		{ &response->header, sizeof(response->header) },
		{ response->text, response->header.text_size },
	};
	ssize_t sent = sockio_send_fds(fd, parts, ELEMENTSOF(parts), response->fds.fds, response->fds.count,
				       MSG_DONTWAIT);

	/* More descriptors of ours are on their way, unread, than the kernel keeps for one user. */
	if (sent == -ETOOMANYREFS && response->fds.count > 0) {
		fdset_clear(&response->fds);
		response->header.result = OPENER_BUSY;
		response->header.count = 0;
		return send_response(fd, response);
	}
	return sent < 0 ? (int)sent : 0;
}

/* Keeps the scratch reply until there is room for it. */
static int keep_response(struct connection *connection)
{
	struct response *scratch = connection->owner->scratch;

	connection->waiting = malloc(sizeof(*connection->waiting));
	if (!connection->waiting)
		return -ENOMEM;
	connection->waiting->header = scratch->header;
	memcpy(connection->waiting->text, scratch->text, scratch->header.text_size);
	fdset_move(&connection->waiting->fds, &scratch->fds);
	return sd_event_source_set_io_events(connection->source, EPOLLOUT);
}

/* One request. 1 if there may be another, 0 if none waits or can be served now, -errno if this was the last. */
static int serve_one(struct connection *connection)
{
	struct connection_owner *owner = connection->owner;
	_Alignas(struct opener_request) char packet[REQUEST_SIZE_MAX];
	struct fdset fds;
	ssize_t size;
	int r;

	/* For a packet that is not received as a whole. */
	memset(packet, 0, sizeof(struct opener_request));
	size = sockio_receive_fds(connection->fd, packet, sizeof(packet), &fds, MSG_DONTWAIT);
	if (size == -EAGAIN)
		return 0;
	if (size < 0 && size != -EBADMSG && size != -EMFILE)
		return (int)size;
	/* The end of a seqpacket connection looks like an empty packet, which no porterd sends. */
	if (size == 0) {
		fdset_clear(&fds);
		return -ECONNRESET;
	}

	request_serve(owner->service, packet, size, &fds, owner->scratch);
	if (owner->scratch->header.result == OPENER_BAD_REQUEST) {
		owner->scratch->text[MIN_OF(owner->scratch->header.text_size, sizeof(owner->scratch->text) - 1)] =
			'\0';
		owner->faulty(owner, owner->scratch->text);
	}
	owner->served(owner);

	r = send_response(connection->fd, owner->scratch);
	if (r == -EAGAIN)
		r = keep_response(connection);
	fdset_clear(&owner->scratch->fds);
	return r < 0 ? r : connection->waiting == NULL;
}

/* Sends the reply that waits for room. 1 if none waits any more, 0 if it still does, or -errno. */
static int send_waiting(struct connection *connection)
{
	int r;

	if (!connection->waiting)
		return 1;
	r = send_response(connection->fd, connection->waiting);
	if (r == -EAGAIN)
		return 0;
	if (r < 0)
		return r;
	response_free(TAKE_POINTER(connection->waiting));
	r = sd_event_source_set_io_events(connection->source, EPOLLIN);
	return r < 0 ? r : 1;
}

/* While stopping, too, a porterd that never ceases to ask is served by turns: the loop must see its timer. */
static void connection_serve(struct connection *connection)
{
	int r = send_waiting(connection);

	for (int i = 0; r > 0 && i < REQUESTS_PER_WAKEUP; i++)
		r = serve_one(connection);
	if (r < 0 || (r == 0 && connection->owner->stopping && !connection->waiting))
		connection_close(connection);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source;
	(void)fd;
	(void)events;
	connection_serve(data);
	return 0;
}

int connection_new(struct connection_owner *owner, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int r;

	if (!connection) {
		fd_close(fd);
		return -ENOMEM;
	}
	connection->owner = owner;
	connection->fd = fd;
	connection->next = owner->first;
	if (owner->first)
		owner->first->previous = connection;
	owner->first = connection;

	r = sd_event_add_io(owner->event, &connection->source, fd, EPOLLIN, on_io, connection);
	if (r < 0)
		connection_free(connection);
	return r < 0 ? r : 0;
}

void connections_drain(struct connection_owner *owner)
{
	struct connection *connection = owner->first;

	while (connection) {
		struct connection *next = connection->next;

		connection_serve(connection);
		connection = next;
	}
}

void connections_free(struct connection_owner *owner)
{
	while (owner->first)
		connection_free(owner->first);
}
