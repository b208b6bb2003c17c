/* SPDX-License-Identifier: MIT
 *
 * Who made a Varlink call, as its methods see it: `caller` of struct varlink_call.
 */
#pragma once

#include <jansson.h>

#include "kernel/identity.h"
#include "porterd/opener_client.h"

struct server;

struct caller {
	struct server *server;
	int socket_fd;		  /* its connection, not owned; negative: it sent a datagram */
	struct identity identity; /* read as far as it was needed */

	/* Files: the question that is with the opener. */
	struct opener_call opener_call;
	json_t *list; /* List: what came so far; owned */
	/* Called when a reply was given later than the method returned; `result` as from the method. */
	void (*resume)(struct caller *caller, int result);
};

void caller_init(struct caller *caller, struct server *server, int socket_fd);

/* Frees what it owns and takes back its question to the opener. */
void caller_clear(struct caller *caller);

/* Makes sure that these parts of the identity (enum identity_part) are read. -errno as identity_read(). */
int caller_identify(struct caller *caller, unsigned parts);
