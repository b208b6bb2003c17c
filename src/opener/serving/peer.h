/* SPDX-License-Identifier: MIT
 *
 * A peer: one connection of porterd. Requests in, replies out, one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/loop.h"
#include "opener/serving/request.h"

struct peer;

/* What a peer needs of whom it belongs to. */
struct peer_owner {
	struct loop *loop;
	struct request_service *service;
	/* For what is being served and answered just now; shared by all connections. */
	struct request *request;
	struct response *scratch;
	bool stopping;		  /* a peer is closed as soon as it has no request left */

	void (*served)(struct peer_owner *owner);		   /* a request was answered */
	void (*closed)(struct peer_owner *owner);		   /* a peer is gone */
	void (*paused)(struct peer_owner *owner, int error);	   /* a peer rests until peers_resume() */

	struct list peers;
};

/* Serves a connected non-blocking seqpacket socket. */
int peer_new(struct peer_owner *owner, int fd /* consumes fd */);

/* Those that rest, because the kernel was short of something, go on. False if it still is. */
bool peers_resume(struct peer_owner *owner);

/* Gives every peer its turns in the loop, now that the owner is stopping: those without a request are closed, those
 * with some, or without room for their replies, when the loop has served them. */
void peers_drain(struct peer_owner *owner);

/* Closes all of them, without another word to the owner. */
void peers_free(struct peer_owner *owner);
