/* SPDX-License-Identifier: MIT
 *
 * The way to the opener: questions go out with the client's own socket, answers come back, and
 * nobody waits in between. A connection that has unsent questions sends them in their order, before any other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/loop.h"
#include "base/opener_wire.h"
#include "kernel/fdset.h"

struct opener_client;
struct recorder;

/* A question that is under way. All zero is none. Owned by whoever asks. */
struct opener_call {
	struct opener_client *client; /* NULL: none under way */
	struct list_link link;
	/* The answer, with text and fds (which stay the client's to close unless taken); reply NULL: the opener
	 * can't be reached. The question is over when this is called, another may be asked in it. */
	void (*done)(struct opener_call *call, const struct opener_reply *reply, const char *text,
		     struct fdset *fds);
	void *userdata;

	struct opener_request request;
	uint64_t since_usec;
	int client_fd; /* not owned: the asker takes the question back before it closes this */
	char *labels;  /* owned; only while the opener's queue is full */
	bool sent;
};

/* A client for the opener at `path`, which must stay valid. Connects when first asked. */
int opener_client_new(struct opener_client **ret, struct loop *loop, struct recorder *recorder, const char *path);
void opener_client_free(struct opener_client *client);

/* Asks. `labels` are `count` strings shorter than OPENER_LABEL_SIZE. 0: done() will be called, but not from here;
 * -ENOMEM or -EBUSY: there is no room for the question now; other -errno: the opener can't be reached. */
int opener_call_start(struct opener_call *call, struct opener_client *client, enum opener_operation operation,
		      const char *const *labels, size_t count, uint32_t cursor, int client_fd);

/* Takes a question back, if there is one: its answer will be thrown away. */
void opener_call_cancel(struct opener_call *call);

/* Are there questions that were not answered yet? */
bool opener_client_is_asked(const struct opener_client *client);

/* To be called about once a second: gives up on an opener that does not answer. True while questions wait. */
bool opener_client_tick(struct opener_client *client);
