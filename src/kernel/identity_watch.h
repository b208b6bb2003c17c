/* SPDX-License-Identifier: MIT
 *
 * The unit of a process that may be moved to another: read again for whoever asks again, for as little as it takes.
 */
#pragma once

#include "kernel/identity.h"
#include "kernel/process_unit.h"

/* What is kept of a process in order to see when it is in another unit. */
struct identity_watch {
	int cgroup; /* owned; negative: not opened yet */
	char *text; /* what it said last, owned; NULL: nothing yet */
	uint64_t number; /* of the cgroup that it spoke of; 0: not known */
	enum process_units where;
};

/* Nothing is kept yet. */
void identity_watch_init(struct identity_watch *watch);
void identity_watch_clear(struct identity_watch *watch);

/* Reads the unit of an identity with a pidfd anew, and opens and parses only what changed. 0: the unit is the one of
 * now; -ESRCH: the process has exited, and the unit stays what it was; -errno of a shortage. */
int identity_watch_unit(struct identity *identity, struct identity_watch *watch);
