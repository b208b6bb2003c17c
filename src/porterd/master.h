/* SPDX-License-Identifier: MIT
 *
 * Whom a daemon answers to: the service manager (porterd/manager), or the supervisor of a crew (porterd/member).
 */
#pragma once

#include "handover/handover.h"
#include "serve/gate.h"

enum daemon_state {
	DAEMON_SERVING,
	DAEMON_IDLE, /* without a client for as long as it waits before it exits */
	DAEMON_STOPPING,
};

struct master;

struct master_operations {
	/* Gives signs of life from now on, and takes orders. 0 or -errno; to be closed on failure, too. */
	int (*open)(struct master *master, struct gate *gate);
	void (*close)(struct master *master);

	/* False: it was not heard, and is to be told again. */
	bool (*tell)(struct master *master, enum daemon_state state);
	void (*tell_counts)(struct master *master, const struct counts *counts);
	/* Something happens, perhaps after the daemon was idle; a connection came or went. */
	void (*busy)(struct master *master);
	void (*connections_changed)(struct master *master);

	/* Around reading the settings anew. */
	void (*begin_reload)(struct master *master);
	bool (*end_reload)(struct master *master); /* as tell() */

	/* The daemon was told to stop. 1: to be started again, so that connections can be handed over; 0; -errno: nobody can
	 * tell. */
	int (*restarts)(struct master *master);
};

struct master {
	struct handover_way way; /* where connections go before a restart */
	const struct master_operations *operations;
	size_t index, count; /* which one this process is of so many that serve the same sockets */
	bool stops_idle;     /* an idle daemon stops by itself */
	uint64_t stop_usec;  /* how long stopping may take; set by the daemon */

	/* Orders, set by the daemon before it opens its master. */
	void (*hand_over)(void *daemon);
	void (*stop_if_idle)(void *daemon);
	void *daemon;
};
