/* SPDX-License-Identifier: MIT
 *
 * Connections that outlive their porterd: when it is restarted, systemd keeps them in its fd store for the next one.
 */
#pragma once

#include "handover/kept.h"
#include "serve/population.h"

/* The name of everything that is in the store. Short, because the names of all together become one string of the
 * next one's environment, and the kernel takes none longer than 128 KiB. */
#define HANDOVER_NAME "porterd-kept"

/* No more connections than this go there, whatever the store would take: PID 1 compares each with all that it has. */
#define HANDOVER_MAX KEPT_MAX

/* How long what was begun may take before (the rest is begun anew by the next porterd), and how long systemd is given
 * to take everything: for thousands of connections that is a second. With the clients that must be drained then, and
 * asking for the reason, it is less than a unit's TimeoutStopSec=. */
#define HANDOVER_FINISH_SECONDS 3
#define HANDOVER_STORE_SECONDS 4

/* Has systemd keep descriptors; for the process that systemd listens to. False: it does not take them. */
bool handover_store(const int *fds, size_t count);

/* Waits until it has them all. -errno: not in time. From a process that has gone it might not take them any more. */
int handover_wait_stored(void);

/* What handing over needs of whoever does it. */
struct handover_way {
	/* For how many descriptors there is room, of so many that are wanted: they are then this process's. */
	size_t (*take_room)(const struct handover_way *way, size_t wanted);
	/* Sends them off to systemd. False: they are not taken. */
	bool (*store)(const struct handover_way *way, const int *fds, size_t count);
	/* Waits until systemd has all. -errno: not in time. */
	int (*wait_stored)(const struct handover_way *way);
};

/* Gives as many connections as it can to systemd; the others stay. Nothing may be under way with the opener for a
 * connection that shall be answered once only. */
void handover_give(struct population *population, const struct handover_way *way);

/* Makes systemd forget what it has given back. First of all: what stays in the store stays open, whatever becomes of
 * it here, and a porterd that crashes over it shall not find it again. */
void handover_forget(void);

/* Takes up what came back from systemd, which has forgotten it by now. `find`: what is spoken on sockets of this name and
 * type; NULL: nothing. */
void handover_take(struct population *population, const struct protocol *(*find)(const char *name, int type),
		   int *fds /* consumes all */, size_t count);
