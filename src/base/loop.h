/* SPDX-License-Identifier: MIT
 *
 * A plain epoll loop with an sd-event loop nested in it. sd-event dispatches one event each epoll_wait(), so a
 * thousand busy connections on it are some fifty times slower than here; but signals, timers and the watchdog
 * are rare, and it does them well.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macro.h"

/* Something with an fd, embedded in its owner. */
struct loop_source {
	int fd; /* the owner's */
	void (*ready)(struct loop_source *source, uint32_t events);
	struct loop_source *retired_next;
	void (*destroy)(struct loop_source *source);
};

struct loop {
	int epoll_fd;
	sd_event *event; /* for signals, timers and children; a reference of the loop's */
	struct loop_source nested;
	struct loop_source *retired;
	bool event_pending; /* a timer was set from outside sd-event's callbacks */
	bool finished;
	uint64_t busy_poll_usec; /* look for events so long before sleeping */
};

/* -errno if the kernel gives no epoll or sd-event loop. */
int loop_open(struct loop *loop);
void loop_close(struct loop *loop);

/* Adds a source; `events` as for epoll_ctl(2). */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
int loop_change(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);

/* Gives a source up. `destroy` runs after the events of this round: some of them may still name it. */
void loop_retire(struct loop *loop, struct loop_source *source, void (*destroy)(struct loop_source *source));

/* To be called after an sd-event source was changed: timers are armed when sd-event prepares for waiting. */
static inline void loop_event_changed(struct loop *loop)
{
	loop->event_pending = true;
}

/* A timer of CLOCK_MONOTONIC that is not set, as accurate as a millisecond. `event` need not be a loop's. 0 or -errno. */
int loop_timer_new(sd_event *event, sd_event_source **ret, sd_event_time_handler_t handler, void *userdata);

/* Sets such a timer to so long from now, once. A relative time would count from when sd-event woke up
 * last, which may be long ago: what happens in this loop does not wake it. */
void loop_arm(struct loop *loop, sd_event_source *timer, uint64_t usec);

/* The same for a timer that belongs to no such loop, or is set in a callback of sd-event. */
void loop_timer_arm(sd_event_source *timer, uint64_t usec);
bool loop_timer_is_armed(sd_event_source *timer);

/* Runs until loop_finish(). `between` is called after each round of events; NULL: nothing is. -errno if waiting
 * fails. */
int loop_run(struct loop *loop, void (*between)(void *userdata), void *userdata);
static inline void loop_finish(struct loop *loop)
{
	loop->finished = true;
}
