/* SPDX-License-Identifier: MIT
 *
 * One client, from its accept to its close.
 */
#include "serve/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "kernel/sockopt.h"

static void connection_ready(struct loop_source *source, uint32_t events)
{
	struct connection *connection = CONTAINER_OF(source, struct connection, source);
	struct population *population = connection->population;

	population->active = true;
	/* Of many thousands of connections each write makes the cache write something back. */
	if (connection->patience.unread != -1)
		connection->patience.unread = -1;
	if (population->frozen) {
		/* Out of the epoll set: an end would be told again and again. */
		loop_remove(population->loop, &connection->source);
		connection->watched = false;
		connection->frozen = true;
		return;
	}
	connection->protocol->ready(connection, events);
}

static void connection_destroy(struct loop_source *source)
{
	struct connection *connection = CONTAINER_OF(source, struct connection, source);

	free(connection->late);
	free(connection);
}

static struct connection *connection_new(struct population *population, const struct protocol *protocol,
					 int fd /* consumes fd */)
{
	_cleanup_close_ int owned = fd;
	struct connection *connection = calloc(1, protocol->state_size);

	if (!connection)
		return NULL;
	connection->population = population;
	connection->protocol = protocol;
	connection->source.fd = TAKE_FD(owned);
	connection->source.ready = connection_ready;
	connection->events = EPOLLIN;
	list_prepend(&population->connections, &connection->link);
	population->n_connections++;
	quota_open_share(&population->quota, &connection->share, fd);
	return connection;
}

/* --- beginning --------------------------------------------------------------------------------------------- */

static int watch_connection(struct connection *connection)
{
	int r = loop_add(connection->population->loop, &connection->source, connection->events);

	if (r < 0)
		connection_end(connection);
	else
		connection->watched = true;
	return r;
}

/* What the porterd before has left. */
static int restore(struct connection *connection, const struct leftovers *leftovers, uint32_t unread_descriptors)
{
	int r = connection->protocol->restore(connection, leftovers);

	if (r < 0)
		connection_close(connection);
	if (connection->closed)
		return r < 0 ? r : -ECONNRESET;
	unread_take_over(&connection->population->unread, &connection->share, unread_descriptors);
	return 0;
}

static int begin(struct population *population, const struct protocol *protocol, int fd /* consumes fd */,
		 const struct leftovers *leftovers, uint32_t unread_descriptors)
{
	struct connection *connection;
	int r;

	protocol_prepare(protocol, fd);
	connection = connection_new(population, protocol, fd);
	if (!connection)
		return -ENOMEM;
	population->counts.of[COUNT_ACCEPTED]++;
	population->active = true;

	/* A client that has too much already can't be told so in any protocol: it has not asked yet. */
	if (quota_take(&population->quota, &connection->share, QUOTA_CONNECTIONS, 1) < 0) {
		connection_close(connection);
		return leftovers ? -EDQUOT : 0;
	}
	r = leftovers ? restore(connection, leftovers, unread_descriptors) : 0;
	if (r < 0)
		return r;

	/* A client has mostly written by the time it is accepted, and many leave after one exchange: what is
	 * served before epoll learns of the connection costs no epoll at all. */
	protocol->ready(connection, EPOLLIN);
	return connection->closed || connection->paused ? 0 : watch_connection(connection);
}

int connection_add(struct population *population, const struct protocol *protocol, int fd)
{
	return begin(population, protocol, fd, NULL, 0);
}

int connection_restore(struct population *population, const struct protocol *protocol, int fd,
		       const struct leftovers *leftovers, uint32_t unread_descriptors)
{
	return begin(population, protocol, fd, leftovers, unread_descriptors);
}

/* --- end --------------------------------------------------------------------------------------------------- */

static void end_protocol(struct connection *connection)
{
	connection->closed = true;
	if (connection->protocol->clear)
		connection->protocol->clear(connection);
	patience_end(&connection->population->patience, &connection->patience);
}

void connection_end(struct connection *connection)
{
	struct population *population = connection->population;

	if (!connection->closed)
		end_protocol(connection);
	list_remove(&population->connections, &connection->link);
	population->n_connections--;
	quota_close_share(&population->quota, &connection->share);

	/* Closing takes it out of the epoll set, unless the opener holds a copy of the socket just now. */
	if (connection->watched)
		loop_remove(population->loop, &connection->source);
	connection->watched = false;
	fd_close(TAKE_FD(connection->source.fd));
	loop_retire(population->loop, &connection->source, connection_destroy);
	population_changed(population);
}

static bool must_linger(const struct connection *connection)
{
	return connection->protocol->linger && connection->share.unread > 0 && !connection->population->closing &&
	       !sockopt_all_read(connection->source.fd);
}

void connection_linger(struct connection *connection)
{
	connection->lingers = true;
	connection->events = EPOLLOUT | EPOLLET;
}

/* It keeps its place in its user's quota, and what is unread, but nothing else. */
static void begin_lingering(struct connection *connection)
{
	struct population *population = connection->population;
	struct quota_share *share = &connection->share;

	(void)shutdown(connection->source.fd, SHUT_RDWR);
	connection->protocol = connection->protocol->linger;
	connection->paused = false;
	connection_linger(connection);
	unread_settle(&population->unread, share);
	quota_give(&population->quota, share, QUOTA_BYTES, share->amounts[QUOTA_BYTES]);
	quota_give(&population->quota, share, QUOTA_OPENS, share->amounts[QUOTA_OPENS]);

	if (connection->watched)
		(void)connection_watch_again(connection);
	else
		(void)watch_connection(connection);
}

void connection_close(struct connection *connection)
{
	if (connection->closed)
		return;
	end_protocol(connection);
	if (must_linger(connection))
		begin_lingering(connection);
	else
		connection_end(connection);
}

void connection_drain(struct connection *connection)
{
	if (connection->lingers) {
		connection_end(connection);
		return;
	}
	/* The kernel still gives out what it has received, then an end: the very path of a client that has
	 * said all it wanted. */
	(void)shutdown(connection->source.fd, SHUT_RD);
}

/* --- what is watched for ----------------------------------------------------------------------------------- */

int connection_watch_again(struct connection *connection)
{
	if (!connection->watched)
		return 0;
	return loop_change(connection->population->loop, &connection->source, connection->events);
}

void connection_watch(struct connection *connection, uint32_t events)
{
	struct patience *patience = &connection->population->patience;

	if (connection->events == events)
		return;
	if ((events & EPOLLOUT) && !(connection->events & EPOLLOUT))
		patience_begin(patience, &connection->patience, PATIENCE_READER, connection->source.fd);
	else if (!(events & EPOLLOUT) && (connection->events & EPOLLOUT))
		patience_end(patience, &connection->patience);
	connection->events = events;
	(void)connection_watch_again(connection);
}

bool connection_pause(struct connection *connection, int error)
{
	struct population *population = connection->population;

	if (!error_is_shortage(error))
		return false;
	/* Out of the epoll set: an end would be told again and again, and can't be received either. */
	if (connection->watched)
		loop_remove(population->loop, &connection->source);
	connection->watched = false;
	connection->paused = true;
	population_shortage(population, -error);
	return true;
}

void connection_resume(struct connection *connection)
{
	int r;

	if (!connection->paused)
		return;
	/* Its reader may have been waited for, which is over. */
	connection_watch(connection, EPOLLIN);
	r = loop_add(connection->population->loop, &connection->source, EPOLLIN);
	connection->watched = r >= 0;
	connection->paused = r < 0;
	if (r < 0)
		population_shortage(connection->population, -r);
}

void connection_thaw(struct connection *connection)
{
	if (connection->frozen) {
		connection->frozen = false;
		connection->watched = loop_add(connection->population->loop, &connection->source, connection->events) >= 0;
	}
	if (connection->watched || connection->paused)
		connection->protocol->ready(connection, 0);
	else
		connection_end(connection);
}
