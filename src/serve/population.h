/* SPDX-License-Identifier: MIT
 *
 * All connections and listening sockets of one process, and what they have together: the loop, limits, counts, buffers.
 * What follows from their coming and going is their owner's to decide.
 */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "limits/patience.h"
#include "limits/quota.h"
#include "limits/unread.h"
#include "record/record.h"
#include "serve/buffer.h"
#include "serve/counts.h"

struct population;

/* Callbacks of whoever owns a population. */
struct population_owner {
	/* A connection came or went, or an answer that waited did. */
	void (*changed)(struct population *population);
	/* accept() or a receive failed for want of something (a positive errno): new clients are to wait for a moment. */
	void (*shortage)(struct population *population, int error);
};

struct population {
	const struct population_owner *owner;
	struct loop *loop;	   /* the owner's */
	struct recorder *recorder; /* the owner's */
	void *services;		   /* what protocols share, which is theirs alone to know (services/shared.h) */

	struct list listeners;	 /* of struct listener */
	struct list connections; /* of struct connection */
	size_t n_connections;
	size_t n_waiting; /* answers to datagrams that are to be tried again */

	struct quota quota;
	struct patience patience;
	struct unread unread;
	struct counts counts; /* population_count() has those that others keep */
	struct buffer buffer;
	struct buffer batch; /* for many datagrams at once; only there once it was needed */

	bool crowded; /* other processes serve the same listening sockets */
	bool active;  /* something happened since this was last reset */
	bool closing; /* takes nothing new, and nobody is waited for who does not read */
	bool frozen;  /* nobody is served: connections are about to be given to the next porterd */
};

/* Nobody is in it yet. The limits are to be set then. `descriptors_max`: as unread_init(). 0 or -errno. */
int population_open(struct population *population, const struct population_owner *owner, struct loop *loop,
		    struct recorder *recorder, size_t descriptors_max);

/* Everybody is gone already. */
void population_close(struct population *population);

/* All that is counted. */
void population_count(const struct population *population, struct counts *ret);

static inline void population_changed(struct population *population)
{
	population->owner->changed(population);
}

static inline void population_shortage(struct population *population, int error)
{
	population->owner->shortage(population, error);
}
