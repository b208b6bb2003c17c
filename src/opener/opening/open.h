/* SPDX-License-Identifier: MIT
 *
 * Opening what a grant names, safely: the file is pinned, looked at from all sides, and only then opened.
 */
#pragma once

#include "base/opener_wire.h"
#include "kernel/identity.h"
#include "opener/opening/places.h"
#include "opener/policy/policy.h"

#define OPEN_REASON_SIZE 256

/* Content above this is not delivered as a copy: it would sit in memory for as long as its receiver likes. */
#define OPEN_COPY_MAX ((size_t)4 << 20)

/* The same for all copies of one request. */
#define OPEN_COPIES_MAX ((size_t)16 << 20)

struct opened {
	int fd;			  /* owned; negative: not opened */
	enum opener_result result;
	char reason[OPEN_REASON_SIZE]; /* of a refusal */
	bool found;		  /* device and inode are known */
	dev_t device;
	ino_t inode;
	size_t copied; /* bytes that were filled, of a copy */
};

/* Not opened, and nothing known. */
void opened_init(struct opened *opened);

/* Closes the fd. */
void opened_clear(struct opened *opened);

/* Opens for a client whom decide() permitted it. `places` are those of the whole request, and get what the file was
 * pinned by. Never blocks on what it finds: a FIFO is not opened, a device and a socket are opened without waiting.
 * Returns opened->result. */
enum opener_result open_grant(const struct grant *grant, const struct identity *client, struct places *places,
			      struct opened *opened);

/* Gives a second fd, with a place of its own, for the copy that `first` holds already. As open_grant(). */
enum opener_result open_copy_again(const struct opened *first, struct opened *opened);

/* Looks at everything that open_grant() does, and opens nothing. */
enum opener_result open_check(const struct grant *grant, const struct identity *client, struct places *places,
			      struct opened *opened);
