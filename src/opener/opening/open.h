/* SPDX-License-Identifier: MIT
 *
 * Opening what a grant names, safely: the file is pinned, looked at from all sides, and only then opened.
 */
#pragma once

#include "opener/opening/opened.h"
#include "opener/opening/places.h"

/* Content above this is not delivered as a copy: it would sit in memory for as long as its receiver likes. */
#define OPEN_COPY_MAX ((size_t)4 << 20)

/* The same for all copies of one request. */
#define OPEN_COPIES_MAX ((size_t)16 << 20)

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
