/* SPDX-License-Identifier: MIT
 *
 * The client behind a request: who it is, as the kernel says through the client's own connection.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "base/opener_wire.h"
#include "kernel/identity.h"

struct client {
	struct identity identity;
	bool alive; /* asked last, so that what was read before is its own */
	bool pair;  /* no connection: an end of the asker's own socketpair() */
};

/* Nobody yet. */
void client_init(struct client *client);

void client_clear(struct client *client);

/* Reads who connected to the other end of `fd`, which stays the caller's and of which nothing is received.
 * `asker` is whose request it came with (pid 0: not known); its own socketpair() stands for itself.
 * `sockets` are the addresses where clients may have connected, ended by NULL: absolute paths, or "@" and an
 * abstract name; NULL: anywhere.
 * OPENER_OK; OPENER_BAD_REQUEST for anything but such a pair and the accepted end of an AF_UNIX stream connection;
 * OPENER_NOT_PERMITTED for a client that can't be told from the other end, or connected elsewhere; OPENER_BUSY.
 * *reason is a constant string then. */
enum opener_result client_read(struct client *client, int fd, const struct ucred *asker, const char *const *sockets,
			       const char **reason);
