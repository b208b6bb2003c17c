/* SPDX-License-Identifier: MIT
 *
 * Listening sockets and the connections that come out of them.
 */
#include "porterd/connection.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "kernel/sockopt.h"
#include "porterd/answers.h"
#include "porterd/descriptors.h"
#include "porterd/kept.h"
#include "porterd/server.h"

static void connection_ready(struct loop_source *source, uint32_t events)
{
	struct connection *connection = CONTAINER_OF(source, struct connection, source);

	/* Of many thousands of connections each write makes the cache write something back. */
	if (connection->patience.unread != -1)
		connection->patience.unread = -1;
	if (connection->server->handing_over) {
		connection_set_aside(connection);
		return;
	}
	connection->protocol->ready(connection, events);
}

static void connection_destroy(struct loop_source *source)
{
	struct connection *connection = CONTAINER_OF(source, struct connection, source);

	if (connection->protocol->release)
		connection->protocol->release(connection);
	free(connection);
}

void socket_prepare(const struct protocol *protocol, int fd)
{
	if (protocol->attestation == PROTOCOL_ATTEST_PRESENCE)
		(void)sockopt_pass_credentials(fd);
	else if (protocol->attestation == PROTOCOL_ATTEST_SENDER)
		(void)sockopt_pass_attestation(fd);
}

static struct connection *connection_new(struct server *server, const struct protocol *protocol,
					 int fd /* consumes fd */)
{
	_cleanup_close_ int owned = fd;
	struct connection *connection = calloc(1, protocol->state_size);

	if (!connection)
		return NULL;
	connection->server = server;
	connection->protocol = protocol;
	connection->source.fd = TAKE_FD(owned);
	connection->source.ready = connection_ready;
	connection->events = EPOLLIN;
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
	server->n_connections++;
	return connection;
}

static int watch_connection(struct connection *connection)
{
	int r = loop_add(&connection->server->loop, &connection->source, connection->events);

	if (r < 0) {
		connection_close(connection);
		return r;
	}
	connection->watched = true;
	return 0;
}

/* What the client has not read of an earlier answer. */
static void set_unread(struct connection *connection, uint32_t descriptors)
{
	quota_add(connection, QUOTA_DESCRIPTORS, descriptors);
	connection->unread_descriptors = descriptors;
}

/* A new connection, or one to go on with. */
static int connection_begin(struct server *server, const struct protocol *protocol, int fd /* consumes fd */,
			    const struct kept *kept)
{
	struct connection *connection;
	int r;

	socket_prepare(protocol, fd);
	connection = connection_new(server, protocol, fd);
	if (!connection)
		return -ENOMEM;
	server->counts.accepted++;

	/* A client that has too much already can't be told so in any protocol: it has not asked yet. */
	if (quota_take(connection, QUOTA_CONNECTIONS, 1) < 0) {
		connection_close(connection);
		return kept ? -EDQUOT : 0;
	}

	if (kept) {
		r = protocol->restore(connection, kept);
		if (r < 0)
			connection_close(connection);
		if (connection->closed)
			return r < 0 ? r : -ECONNRESET;
		set_unread(connection, kept->unread_descriptors);
	}

	/* A client has mostly written by the time it is accepted, and many leave after one exchange: what is
	 * served before epoll learns of the connection costs no epoll at all. */
	protocol->ready(connection, EPOLLIN);
	return connection->closed || connection->resting ? 0 : watch_connection(connection);
}

int connection_add(struct server *server, const struct protocol *protocol, int fd)
{
	return connection_begin(server, protocol, fd, NULL);
}

int connection_restore(struct server *server, const struct protocol *protocol, int fd, const struct kept *kept)
{
	return connection_begin(server, protocol, fd, kept);
}

int connection_keep(struct server *server, const struct protocol *protocol, int fd, uint32_t unread_descriptors)
{
	struct connection *connection = connection_new(server, protocol, fd);

	if (!connection)
		return -ENOMEM;
	/* The place in the quota has just become free. Others may have so much by now that its user could not have it anew;
	 * but the kernel goes on counting. */
	quota_add(connection, QUOTA_CONNECTIONS, 1);
	set_unread(connection, unread_descriptors);
	protocol->ready(connection, 0);
	return connection->closed ? 0 : watch_connection(connection);
}

void connection_close(struct connection *connection)
{
	struct server *server = connection->server;

	if (connection->closed)
		return;
	connection->closed = true;

	if (connection->protocol->clear)
		connection->protocol->clear(connection);
	patience_end(connection);
	quota_release(connection);

	if (connection->next)
		connection->next->previous = connection->previous;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	server->n_connections--;

	/* Closing takes it out of the epoll set, unless the opener holds a copy of the socket just now. */
	if (connection->watched)
		loop_remove(&server->loop, &connection->source);
	descriptors_close(connection, TAKE_FD(connection->source.fd));
	connection->watched = false;
	loop_retire(&server->loop, &connection->source, connection_destroy);
	server_connections_changed(server);
}

int connection_watch_again(struct connection *connection)
{
	if (!connection->watched)
		return 0;
	return loop_change(&connection->server->loop, &connection->source, connection->events);
}

void connection_watch(struct connection *connection, uint32_t events)
{
	if (connection->events == events)
		return;
	if ((events & EPOLLOUT) && !(connection->events & EPOLLOUT))
		patience_begin(connection, PATIENCE_READER);
	else if (!(events & EPOLLOUT) && (connection->events & EPOLLOUT))
		patience_end(connection);
	connection->events = events;
	(void)connection_watch_again(connection);
}

bool connection_rest(struct connection *connection, int error)
{
	if (!error_is_shortage(error))
		return false;
	/* Out of the epoll set: an end would be told again and again, and can't be received either. */
	if (connection->watched)
		loop_remove(&connection->server->loop, &connection->source);
	connection->watched = false;
	connection->resting = true;
	server_pause(connection->server, -error);
	return true;
}

void connection_resume(struct connection *connection)
{
	int r;

	if (!connection->resting)
		return;
	/* Its reader may have been waited for, which is over. */
	connection_watch(connection, EPOLLIN);
	r = loop_add(&connection->server->loop, &connection->source, EPOLLIN);
	connection->watched = r >= 0;
	connection->resting = r < 0;
	if (r < 0)
		server_pause(connection->server, -r);
}

void connection_set_aside(struct connection *connection)
{
	if (connection->watched)
		loop_remove(&connection->server->loop, &connection->source);
	connection->watched = false;
	connection->aside = true;
}

void connection_take_up(struct connection *connection)
{
	/* An earlier one, taken up, has found the opener gone, and that this one's client has left. */
	if (connection->closed)
		return;
	if (connection->aside) {
		connection->aside = false;
		connection->watched =
			loop_add(&connection->server->loop, &connection->source, connection->events) >= 0;
	}
	if (connection->watched || connection->resting)
		connection->protocol->ready(connection, 0);
	else
		connection_close(connection);
}

void connection_drain(struct connection *connection)
{
	if (descriptors_is_rest(connection)) {
		connection_close(connection);
		return;
	}
	/* The kernel still gives out what it has received, then an end: the very path of a client that has
	 * said all it wanted. */
	(void)shutdown(connection->source.fd, SHUT_RD);
}

/* Listeners */

static void accept_one(struct loop_source *source, uint32_t events)
{
	struct listener *listener = CONTAINER_OF(source, struct listener, source);
	struct server *server = listener->server;
	int fd, r;

	/* One accept a wake-up: the last of a loop would only learn that there is no more. */
	(void)events;
	fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		/* These are about nobody, or one client that is gone already. Anything else would be the same at
		 * the next event, which would come at once. */
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			server_pause(server, errno);
		return;
	}

	r = connection_add(server, listener->protocol, fd);
	if (r < 0)
		server_pause(server, -r);
	server_connections_changed(server);
}

static void take_datagrams(struct loop_source *source, uint32_t events)
{
	struct listener *listener = CONTAINER_OF(source, struct listener, source);

	(void)events;
	listener->server->active = true;
	listener->protocol->datagrams(listener);
}

/* A client wakes one of several workers, not all. */
static int watch_listener(struct listener *listener)
{
	bool shared = listener->server->worker && !listener->answers;

	return loop_add(&listener->server->loop, &listener->source, EPOLLIN | (shared ? (uint32_t)EPOLLEXCLUSIVE : 0));
}

int listener_add(struct server *server, const struct protocol *protocol, int fd)
{
	_cleanup_close_ int owned = fd;
	struct listener *listener;
	int flags, r;

	/* A client may leave between epoll's word and accept(). */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;

	/* No service takes fds. Where the kernel can refuse them, accepted sockets inherit that; elsewhere it
	 * drops them when a message is received without room for them. */
	(void)sockopt_refuse_rights(fd);
	socket_prepare(protocol, fd);

	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	listener->server = server;
	listener->protocol = protocol;
	listener->source.fd = TAKE_FD(owned);
	listener->source.ready = protocol->datagrams ? take_datagrams : accept_one;
	listener->next = server->listeners;

	r = protocol->datagrams ? answers_new(&listener->answers, server, listener->source.fd) : 0;
	if (r >= 0)
		r = watch_listener(listener);
	if (r < 0) {
		listener_free(listener);
		return r;
	}
	server->listeners = listener;
	return 0;
}

void listener_free(struct listener *listener)
{
	if (!listener)
		return;
	answers_free(listener->answers);
	fd_close(listener->source.fd);
	free(listener);
}

void listener_pause(struct listener *listener)
{
	if (!listener->paused)
		loop_remove(&listener->server->loop, &listener->source);
	listener->paused = true;
}

void listener_rest(struct listener *listener, int error)
{
	if (!error_is_shortage(error))
		return;
	listener_pause(listener);
	server_pause(listener->server, -error);
}

void listener_resume(struct listener *listener)
{
	int r;

	if (!listener->paused)
		return;
	r = watch_listener(listener);
	if (r >= 0)
		listener->paused = false;
	else
		server_pause(listener->server, -r);
}
