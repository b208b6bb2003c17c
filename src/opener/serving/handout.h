/* SPDX-License-Identifier: MIT
 *
 * The files that one request asks for: decided on, opened, handed out together or not at all, and recorded.
 */
#pragma once

#include "kernel/fdset.h"
#include "opener/opening/opened.h"
#include "opener/serving/service.h"

/* One of them, on its way through. */
struct handout_file {
	const struct grant *grant; /* NULL: the policy has no such file */
	struct opened opened;
	const char *reason; /* why granted or refused */
	bool recorded;	    /* as granted, before it was */
};

/* Large; only what is needed is touched. */
struct handout {
	struct request_service *service;
	const struct client *client;
	const char (*labels)[OPENER_LABEL_SIZE]; /* each ended by a NUL */
	uint32_t count;	  /* of those that are opened or refused, and to be recorded */
	bool granted;	  /* all of them */
	uint32_t refused; /* otherwise: the first that was not */
	struct places places;
	struct handout_file files[OPENER_FILES_MAX];
};

/* Of no file yet. The labels and, from the next step on, the client must live until handout_finish(). */
void handout_init(struct handout *handout, struct request_service *service, const char (*labels)[OPENER_LABEL_SIZE]);

/* Opens the first `count` files, or none of them. See granted then, or refused: that file's result and reason are the
 * whole request's. */
void handout_open(struct handout *handout, uint32_t count);

/* Refuses all of them. */
void handout_refuse(struct handout *handout, uint32_t count, enum opener_result result, const char *reason);

/* What would come of opening the first: its result, with the reason in files[0]. Nothing is opened, and nothing to be
 * recorded. */
enum opener_result handout_check(struct handout *handout);

/* Moves what was opened to the answer. */
void handout_take(struct handout *handout, struct fdset *ret);

/* The answer could not be sent after all, so none of them is granted. */
void handout_withdraw(struct handout *handout, const char *reason);

/* What nobody need wait for: makes the records, but for those without which nothing is granted. What pins the files
 * stays in places. */
void handout_finish(struct handout *handout);
