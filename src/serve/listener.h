/* SPDX-License-Identifier: MIT
 *
 * A socket that systemd handed over: it listens, or takes datagrams.
 */
#pragma once

#include "serve/population.h"
#include "serve/protocol.h"

struct answers;

struct listener {
	struct loop_source source;
	struct list_link link;
	struct population *population;
	const struct protocol *protocol;
	struct answers *answers; /* of a datagram socket */
	bool queued;		 /* the last time more than one datagram was there at once */
	bool paused;
};

/* Takes the fd over and serves it. 0 or -errno. */
int listener_add(struct population *population, const struct protocol *protocol, int fd /* consumes fd */);

/* Takes it out of its population. */
void listener_free(struct listener *listener);

/* Stops and starts taking connections or datagrams; what comes meanwhile waits in the kernel. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);

/* Do its clients become connections? */
bool listener_accepts(const struct listener *listener);

/* For each listener of which that is so. */
void listeners_of_connections(struct population *population, void (*function)(struct listener *listener));

/* Receiving from it failed. If that was for want of something, it waits until it is resumed. */
void listener_failed(struct listener *listener, int error);
