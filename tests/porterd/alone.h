/* SPDX-License-Identifier: MIT
 *
 * A daemon without a systemd around it: its connections are ends of socketpairs, and it runs one round of its loop
 * at a time.
 */
#pragma once

#include "porterd/daemon.h"
#include "porterd/manager.h"
#include "serve/connection.h"
#include "services/protocols.h"

struct alone {
	struct daemon daemon;
	struct manager manager;
	struct recorder *recorder;
	int log; /* what it writes to its stderr */
};

void alone_open(struct alone *alone);
void alone_close(struct alone *alone);

/* Gives the daemon one end of a socketpair whose send buffers are small (0: as the system has them) and returns
 * the other, non-blocking. */
int alone_connect(struct alone *alone, const struct protocol *protocol, int send_buffer);

/* The connection that came last. */
static inline struct connection *last_connection(const struct population *population)
{
	return LIST_ENTRY(population->connections.first, struct connection, link);
}

/* Lets the daemon run until nothing happens any more, for a few milliseconds. */
void alone_settle(struct alone *alone);

/* Lets it run for at least so long. */
void alone_run_for(struct alone *alone, unsigned msec);
