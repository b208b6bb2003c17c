/* SPDX-License-Identifier: MIT
 *
 * Several worker processes on the same sockets, and the process that looks after them: it starts them, replaces those
 * that die or hang, tells systemd how it goes, and passes on when to stop. It never reads from a client.
 */
#pragma once

#include <stddef.h>

#include "porterd/worker.h"
#include "record/record.h"

struct supervisor_options {
	size_t n_workers; /* at least 2 */
	/* Serves in a process of its own and returns that one's exit status. */
	int (*serve)(struct worker *worker, void *userdata);
	/* Called in the supervisor when all have been started for the first time: what only these need can go. */
	void (*started)(void *userdata);
	/* Called in the supervisor on SIGHUP, before workers get it as well. */
	void (*renew)(void *userdata);
	void *userdata;
	int first_free; /* `serve` needs no fd from this number on, but what is open already */
};

/* Runs until it is told to stop or all workers are idle. Returns the exit status. The recorder stays the caller's. */
int supervisor_run(const struct supervisor_options *options, struct recorder *recorder);
