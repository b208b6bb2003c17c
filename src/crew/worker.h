/* SPDX-License-Identifier: MIT
 *
 * One process of a crew, as it looks from inside: what it lets the others know, and what it is told.
 */
#pragma once

#include <systemd/sd-event.h>

#include "crew/balance.h"
#include "crew/crew.h"

/* What the supervisor may order; called in the worker's loop. */
struct worker_orders {
	void (*hand_over)(void *to);
	void (*retire)(void *to); /* one that has said that it is idle, and may not be any more */
	void *to;
};

struct worker {
	const struct crew *crew;
	size_t index;
	struct worker_orders orders;
	void *userdata; /* whoever serves in it may set this */
	struct population *population; /* NULL: not open */
	struct worker_report *report;
	struct balance balance;
	struct loop_source bell;
	sd_event_source *sign;
};

/* Makes a worker of a process, of which crew, index and orders are set. On failure it is to be closed, too. */
int worker_open(struct worker *worker, struct gate *gate);
void worker_close(struct worker *worker);

/* Sends descriptors to the supervisor, who passes them on to systemd. Waits while it has not received earlier ones. 0
 * or -errno. */
int worker_pass_fds(const struct worker *worker, const int *fds, size_t count);

/* Takes a part of what the store has room for, at most so much. */
size_t worker_take_room(const struct worker *worker, size_t wanted);

/* Tells the supervisor. */
void worker_tell(struct worker *worker, enum worker_state state);
void worker_tell_counts(struct worker *worker, const struct counts *counts);

/* Which settings a worker is to go by; tells the supervisor that it does. */
uint32_t worker_settings(const struct worker *worker);
void worker_tell_settings(struct worker *worker, uint32_t settings);

/* Has it said that it is idle? */
bool worker_is_idle(const struct worker *worker);

/* A connection came or went. */
void worker_connections_changed(struct worker *worker);
