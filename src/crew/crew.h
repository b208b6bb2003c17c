/* SPDX-License-Identifier: MIT
 *
 * Several processes that serve the same sockets, and what they share with their supervisor: numbers in memory, eventfds
 * as bells, signals; before a restart also descriptors, for systemd.
 */
#pragma once

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/counts.h"

#define WORKERS_MAX 256

/* Signals from the supervisor, besides SIGTERM: hand over (handover/handover); stop if you are idle. */
#define WORKER_SIGNAL_HAND_OVER SIGUSR1
#define WORKER_SIGNAL_RETIRE SIGUSR2

enum worker_state {
	WORKER_STARTING,
	WORKER_SERVING,
	WORKER_IDLE, /* without a client for as long as porterd waits before it exits */
	WORKER_STOPPING,
};

/* Written by one worker only; its place in memory that all share. A line of the cache belongs to one of them. */
struct worker_report {
	_Alignas(128) _Atomic uint32_t state; /* enum worker_state */
	_Atomic uint64_t signs;		      /* of life */
	_Atomic uint32_t away;		      /* the supervisor misses them: written by it alone */
	_Atomic uint32_t settings;	      /* the crew's, that it goes by */
	_Atomic uint64_t counts[COUNT_KINDS];
};

/* All workers, as the supervisor has made them. */
struct crew {
	size_t count;
	struct worker_report *reports; /* shared memory */
	_Atomic uint32_t *store_room;  /* shared memory: descriptors that systemd still takes before a restart */
	_Atomic uint32_t *settings;    /* shared memory: counted up each time that porterd.conf was read */
	int *bells;		       /* eventfds that wake the workers */
	int supervisor_bell;	       /* one that wakes the supervisor */
	int pass_fd, passed_fd;	       /* sockets: workers send descriptors, and the supervisor receives them */
	uint64_t sign_usec;	       /* how often a worker gives a sign of life */
};

/* How many workers there are unless somebody says so: one for two CPUs that this process may use. */
size_t crew_default_count(void);

/* What a crew shares. On failure it is to be closed, too. */
int crew_open(struct crew *crew, size_t count, uint64_t sign_usec);
void crew_close(struct crew *crew);

/* Wakes whoever a bell belongs to. */
void crew_ring(int bell);

/* What a worker has last told of a count. */
uint64_t crew_count_of(const struct crew *crew, size_t index, enum count count);
