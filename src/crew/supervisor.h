/* SPDX-License-Identifier: MIT
 *
 * Several worker processes on the same sockets, and the process that looks after them: it starts them, replaces those
 * that die or hang, tells systemd how it goes, and passes on when to stop. It never reads from a client.
 */
#pragma once

#include "crew/worker.h"
#include "record/record.h"

/* How long workers are given to stop; to hand over; and what the service manager gives all of it. */
struct supervisor_times {
	uint64_t stop_usec, hand_over_usec, whole_usec;
};

struct supervisor_options {
	size_t n_workers; /* at least 2 */
	/* Serves in a process of its own and returns that one's exit status. */
	int (*serve)(struct worker *worker, void *userdata);
	/* Called in the supervisor when all have been started for the first time: what only these need can go. */
	void (*started)(void *userdata);
	/* Called in the supervisor on SIGHUP, before workers get it as well. */
	void (*renew)(void *userdata);
	/* Is porterd stopped to be started again? 1: yes, and *ret_room is how many descriptors are kept for the next one; 0:
	 * no; -errno: nobody can tell. */
	int (*restarts)(size_t *ret_room);
	/* Has the service manager keep descriptors; waits until it has them. -errno: not, or not in time. */
	bool (*store)(const int *fds, size_t count);
	int (*wait_stored)(void);
	/* Tells the service manager what all have counted together, with `more` behind it. */
	void (*tell)(const struct counts *counts, const char *more);
	void *userdata;
	const struct supervisor_times *times; /* as renew() has set them last */
	int first_free; /* `serve` needs no fd from this number on, but what is open already */
};

/* Runs until it is told to stop or all workers are idle. Returns the exit status. The recorder stays the caller's. */
int supervisor_run(const struct supervisor_options *options, struct recorder *recorder);
