/* SPDX-License-Identifier: MIT
 *
 * One client, from its accept to its close.
 */
#pragma once

#include "serve/population.h"
#include "serve/protocol.h"

/* First member of its protocol's state. */
struct connection {
	struct loop_source source;
	struct list_link link;
	struct population *population;
	const struct protocol *protocol;
	void *late;	 /* owned; freed when nobody can have it in hand any more: after the round in which it ended */
	uint32_t events; /* what epoll watches for */
	bool watched;	 /* is in the epoll set */
	bool closed;	 /* its protocol has nothing to do with it any more */
	bool lingers;	 /* see serve/linger */
	bool paused; /* see connection_pause() */
	bool frozen; /* had events while nobody was served */
	struct quota_share share;
	struct patience_entry patience;
};

/* Takes a connected socket over and serves what is already there. 0 or -errno. */
int connection_add(struct population *population, const struct protocol *protocol, int fd /* consumes fd */);

/* The same with a connection of the porterd before, whose client has so many descriptors of it unread. */
int connection_restore(struct population *population, const struct protocol *protocol, int fd /* consumes fd */,
		       const struct leftovers *leftovers, uint32_t unread_descriptors);

/* Closes the connection; its memory stays until the end of the loop's round. Where its client has descriptors unread,
 * the socket stays, too (serve/linger). */
void connection_close(struct connection *connection);

/* The same whatever is unread, and for one that stays so. */
void connection_end(struct connection *connection);

/* From now on it waits for nothing but that its client reads. To be set before it is watched. */
void connection_linger(struct connection *connection);

/* Changes what epoll watches for, if it is something else. */
void connection_watch(struct connection *connection, uint32_t events);

/* Tells epoll anew what is watched for; if that is there already, it is told, or told again. 0 or -errno. */
int connection_watch_again(struct connection *connection);

/* Receiving from it failed. If that was for want of something, and no fault of the client's, the connection waits until
 * connection_resume(), and the answer is true. */
bool connection_pause(struct connection *connection, int error);
void connection_resume(struct connection *connection);

/* Serves what came while the population was frozen. */
void connection_thaw(struct connection *connection);

/* Makes the connection read what was received before, and then an end. */
void connection_drain(struct connection *connection);

/* What its client's quota has for it: as quota_hold_bytes(). */
static inline int connection_hold_bytes(struct connection *connection, size_t bytes)
{
	return quota_hold_bytes(&connection->population->quota, &connection->share, bytes);
}
