/* SPDX-License-Identifier: MIT
 *
 * A daemon without a systemd around it: its connections are ends of socketpairs, and it runs one round of its loop
 * at a time.
 */
#pragma once

#include "porterd/connection.h"
#include "porterd/server.h"
#include "porterd/services.h"

struct daemon {
	struct server server;
	struct recorder *recorder;
	int log; /* what it writes to its stderr */
};

void daemon_open(struct daemon *daemon);
void daemon_close(struct daemon *daemon);

/* Gives the daemon one end of a socketpair whose send buffers are small (0: as the system has them) and returns
 * the other, non-blocking. */
int daemon_connect(struct daemon *daemon, const struct protocol *protocol, int send_buffer);

/* Lets the daemon run until nothing happens any more, for a few milliseconds. */
void daemon_settle(struct daemon *daemon);

/* Lets it run for at least so long. */
void daemon_run_for(struct daemon *daemon, unsigned msec);
