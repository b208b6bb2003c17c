/* SPDX-License-Identifier: MIT
 *
 * The place of one worker under its supervisor: the process that is in it, how that one ends, and when the next one
 * starts. What an end means for the others is the supervisor's to decide.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "crew/worker.h"
#include "crew/worker_end.h"

struct recorder;
struct worker_slot;

/* What all slots of a supervisor share. */
struct worker_slots {
	struct crew crew;
	struct worker_slot *slots; /* crew.count of them */
	sd_event *event;
	struct recorder *recorder;
	int first_own;	       /* fds from here on are the event loop's, and nothing for a worker */
	uint64_t silence_usec; /* a worker without a sign of life for so long is killed */
	struct counts gone;    /* what those have counted that are gone */
	uint64_t replaced;
	/* In the new process. Returns its exit status. */
	int (*serve)(struct worker *worker, void *userdata);
	void *serve_userdata;
	/* The process in a slot has ended, and was in this state before; the slot is empty now. */
	void (*ended)(struct worker_slot *slot, struct worker_end *end, enum worker_state state);
};

struct worker_slot {
	struct worker_slots *all;
	size_t index;
	pid_t pid; /* 0: none runs */
	sd_event_source *child, *restart;
	uint64_t started_usec;
	unsigned failures; /* in a row */
	uint64_t signs;	   /* seen when it was last looked */
	unsigned silent;   /* so often none was new */
	bool killed;	   /* for its silence */
};

/* Makes the slots of a crew that is open, with a loop and the other fields set; none is started. 0 or -errno; on
 * failure they are to be closed, too, which kills what still runs. */
int worker_slots_open(struct worker_slots *all);
void worker_slots_close(struct worker_slots *all);

/* How many run; how many of them are in a state; the connections that they have. */
size_t worker_slots_running(const struct worker_slots *all);
size_t worker_slots_in(const struct worker_slots *all, enum worker_state state);
uint64_t worker_slots_connections(const struct worker_slots *all);

/* What all have counted, with those that are gone. */
void worker_slots_count(const struct worker_slots *all, struct counts *ret);

/* Do all that go on serving go by the newest settings? */
bool worker_slots_have_settings(const struct worker_slots *all);

void worker_slots_signal(const struct worker_slots *all, int number);

/* Starts those that are missing and do not wait for their time. */
void worker_slots_start_missing(struct worker_slots *all);

/* None is started any more by itself. */
void worker_slots_end_restarts(struct worker_slots *all);

/* Forks. 0 or -errno. */
int worker_slot_start(struct worker_slot *slot);

/* After an end: starts the next one, now or after a pause that grows with failures in a row, and says so. */
void worker_slot_replace(struct worker_slot *slot, struct worker_end *end);

/* Looks for a new sign of life, as is to be done every crew.sign_usec; with `kill_silent` set, one that has given
 * none for silence_usec is killed. */
void worker_slot_watch(struct worker_slot *slot, bool kill_silent);
