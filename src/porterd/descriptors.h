/* SPDX-License-Identifier: MIT
 *
 * Descriptors under way to clients: asked for, or sent and not read yet.
 *
 * This process holds them until they are sent, and after that the kernel counts them for user porterd until they are
 * read. At a limit of its own (RLIMIT_NOFILE) it lets that user send none any more to anybody, not even to the opener.
 * So what a client leaves unread is a part of its user's quota, for as long as it is unread: also where its connection
 * ends before, and is kept, without a word being spoken on it, until the client has read or closed its end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/fdset.h"

struct connection;
struct protocol;
struct server;

/* Of which one user may have as many as one request can ask for. */
#define DESCRIPTORS_LEAST (4 * FDSET_MAX)

/* How many may be under way for all users; one may have a quarter of them, or, of less than DESCRIPTORS_LEAST, as
 * many as one request can ask for. */
void descriptors_init(struct server *server, size_t max);

/* Takes a share for an answer that will bring so many. One answer is always let through when no other is under way.
 * -EBUSY: it would be too many, for this user or for all. */
int descriptors_reserve(struct connection *connection, size_t count);

/* The answer has been sent, and that could only be done because everything before it had been read. */
void descriptors_sent(struct connection *connection);

/* No answer is on its way to the client any more: what it did not get is given back. */
void descriptors_settle(struct connection *connection);

/* Is it nothing but the socket of a connection that has ended? It has a protocol of its own then, by which the next
 * porterd goes on with it. */
extern const struct protocol descriptors_rest_protocol;
bool descriptors_is_rest(const struct connection *connection);

/* The connection is about to end, and its share given back: closes its socket, or keeps it as above. */
void descriptors_close(struct connection *connection, int fd /* consumes fd */);
