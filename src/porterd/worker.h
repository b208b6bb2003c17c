/* SPDX-License-Identifier: MIT
 *
 * One of several processes that serve the same sockets, under a supervisor (porterd/supervisor): what it lets the
 * supervisor and the other workers know, and how it leaves new clients to those who have fewer.
 *
 * All that passes between these processes are numbers in memory that they share, signals, and eventfds as bells;
 * before a restart also descriptors, for systemd.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/loop.h"
#include "porterd/status.h"

struct server;
struct config;

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
	_Atomic uint64_t values[STATUS_KINDS];
};

/* All workers, as the supervisor has made them. */
struct worker_crew {
	size_t count;
	struct worker_report *reports; /* shared memory */
	_Atomic uint32_t *store_room;  /* shared memory: descriptors that systemd still takes before a restart */
	_Atomic uint32_t *settings;    /* shared memory: counted up each time that porterd.conf was read */
	int *bells;		       /* eventfds that wake the workers */
	int supervisor_bell;	       /* one that wakes the supervisor */
	int pass_fd, passed_fd;	       /* sockets: workers send descriptors, and the supervisor receives them */
	uint64_t sign_usec;	       /* how often a worker gives a sign of life */
};

struct worker {
	const struct worker_crew *crew;
	size_t index;
	struct server *server; /* NULL: not open */
	struct worker_report *report;
	struct loop_source bell;
	sd_event_source *sign, *aside;
	unsigned grown;		  /* connections since its share was looked at */
	bool stands_aside;	  /* leaves new clients to the others just now */
	uint64_t others_accepted; /* by the others, when it stood aside the last time */
	uint64_t vain_usec;	  /* they took nobody: how long it does not do so again; 0: they did */
	uint64_t again_usec;	  /* until then */
};

#define WORKERS_MAX 256

/* Signals from the supervisor, besides SIGTERM: hand over (porterd/handover); stop if you are idle. */
#define WORKER_SIGNAL_HAND_OVER SIGUSR1
#define WORKER_SIGNAL_RETIRE SIGUSR2

/* How many workers there are unless somebody says so: one for two CPUs that this process may use. */
size_t worker_default_count(void);

/* Makes limits of the whole daemon those of one of its workers: together they are as much as before. No share is
 * less than the setting may be at least. */
void worker_share_limits(struct config *config, size_t index, size_t count);

/* What a crew shares. On failure it is to be closed, too. */
int worker_crew_open(struct worker_crew *crew, size_t count, uint64_t sign_usec);
void worker_crew_close(struct worker_crew *crew);

/* Connects a worker, of which crew and index are set, to its server. */
int worker_open(struct worker *worker, struct server *server);
void worker_close(struct worker *worker);

/* Sends descriptors to the supervisor, who passes them on to systemd. Waits while it has not received earlier ones. 0
 * or -errno. */
int worker_pass_fds(struct worker *worker, const int *fds, size_t count);

/* Takes a part of what the store has room for, at most so much. */
size_t worker_take_room(struct worker *worker, size_t wanted);

/* Tells the supervisor. */
void worker_tell(struct worker *worker, enum worker_state state);
void worker_tell_status(struct worker *worker);

/* Which settings a worker is to go by; tells the supervisor that it does. */
uint32_t worker_settings(const struct worker *worker);
void worker_tell_settings(struct worker *worker, uint32_t settings);

/* Something happens; a connection came or went. */
void worker_is_busy(struct worker *worker);
void worker_connections_changed(struct worker *worker);
