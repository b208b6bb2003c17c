/* SPDX-License-Identifier: MIT
 *
 * One connection of porterd: requests in, replies out, one at a time.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "opener/request.h"

struct connection;

/* What a connection needs of whom it belongs to. */
struct connection_owner {
	sd_event *event;
	struct request_service *service;
	struct response *scratch; /* for the reply that is being made; shared by all connections */
	bool stopping;		  /* a connection closes as soon as it has no request left */

	void (*served)(struct connection_owner *owner);		     /* a request was answered */
	void (*faulty)(struct connection_owner *owner, const char *why); /* one that porterd must not send */
	void (*closed)(struct connection_owner *owner);		     /* a connection is gone */

	struct connection *first;
};

/* Serves a connected non-blocking seqpacket socket. */
int connection_new(struct connection_owner *owner, int fd /* consumes fd */);

/* Gives every connection its turn, now that the owner is stopping: those without a request are closed, those
 * with more of them, or without room for their replies, when the loop has served the rest. */
void connections_drain(struct connection_owner *owner);

/* Closes all of them, without another word to the owner. */
void connections_free(struct connection_owner *owner);
