/* SPDX-License-Identifier: MIT
 *
 * The daemon as a whole: what happens when, from the first listening socket to the last connection.
 */
#pragma once

#include "porterd/config.h"
#include "porterd/master.h"
#include "porterd/times.h"
#include "services/shared.h"

struct daemon_options {
	struct config config; /* of this process */
	/* On SIGHUP: sets it anew. NULL: the signal changes nothing. */
	void (*renew)(struct config *config, void *userdata);
	void *userdata;

	uint64_t idle_usec; /* exit after so long without a connection; 0: never */
	const char *opener_path;
};

struct daemon {
	struct daemon_options options;
	struct master *master; /* not owned */
	struct times times;
	struct loop loop;
	struct population population;
	struct gate gate;
	struct services services;
	bool single; /* serves the one connection that it was started with */

	bool ticking;	 /* the tick timer is armed */
	bool told_ready; /* the master knows that we serve */
	sd_event_source *tick, *idle, *deadline;
};

/* Sets everything up but the sockets. The master and the recorder stay the caller's. On failure *ret_what says what could
 * not be made, and the daemon is closed. */
int daemon_open(struct daemon *daemon, const struct daemon_options *options, struct master *master,
		struct recorder *recorder, const char **ret_what);
void daemon_close(struct daemon *daemon);

/* Takes over the socket of the one client that is served, by one process of many. */
int daemon_add_single(struct daemon *daemon, const struct protocol *protocol, int fd /* consumes fd */);

/* Serves until it is stopped or idle. */
int daemon_run(struct daemon *daemon);

/* Stops accepting, lets every connection answer what was already received, then ends the loop. */
void daemon_drain(struct daemon *daemon);
