/* SPDX-License-Identifier: MIT
 *
 * The sockets that systemd handed over: which service each is for, by its name and type.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/listen_fds.h"

struct protocol;

struct activated {
	int fd; /* owned */
	const struct protocol *protocol;
	bool connected; /* Accept=yes: one client; otherwise it listens, or takes datagrams */
};

struct activation {
	struct activated *sockets;
	size_t count;
	int *kept; /* what the porterd before left in systemd's fd store (handover/handover); owned */
	size_t n_kept;
	char error[LISTEN_FDS_ERROR_SIZE]; /* what is wrong, for people; "" if nothing is */
};

/* Takes over what the service manager hands over and finds the service of each. `serve` replaces all names, unless
 * NULL. -ENODATA: there is nothing; -EINVAL: something is wrong with a socket or a variable, as `error` says. */
int activation_take(struct activation *activation, const char *serve);

/* Closes what was left in the store. */
void activation_drop_kept(struct activation *activation);

/* Closes what was not taken out of it. */
void activation_clear(struct activation *activation);
