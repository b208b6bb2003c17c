/* SPDX-License-Identifier: MIT
 *
 * Who made a Varlink call, as its methods see it: `caller` of struct varlink_call.
 */
#pragma once

#include "base/json.h"
#include "kernel/identity.h"
#include "services/shared.h"

struct varlink_call;

struct caller {
	struct population *population;
	struct quota_share *share; /* its connection's; NULL: it sent a datagram */
	int socket_fd;		   /* its connection's, not owned; negative for a datagram */
	struct identity identity; /* read as far as it was needed */

	/* Files: the question that is with the opener. */
	struct opener_call opener_call;
	size_t n_opens; /* of its user's QUOTA_OPENS, for the question */
	json_t *list;	/* List: what came so far; owned */
	/* Takes its answer; result as from a method. */
	int (*answered)(struct varlink_call *call, const struct opener_reply *reply, const char *text, struct fdset *fds);
	/* Called when a reply was given later than the method returned; `result` as from the method. */
	void (*resume)(struct caller *caller, int result);
};

void caller_init(struct caller *caller, struct population *population, struct quota_share *share);

/* Frees what it owns and takes back its question to the opener. */
void caller_clear(struct caller *caller);

/* Counts so many files for its user while the opener is asked; -EBUSY: these are too many. Whoever may have less than one
 * request's can have that one, and nothing beside it. */
int caller_take_opens(struct caller *caller, size_t count);
void caller_give_back_opens(struct caller *caller);

/* Makes sure that these parts of the identity (enum identity_part) are read. -errno as identity_read(). */
int caller_identify(struct caller *caller, unsigned parts);
