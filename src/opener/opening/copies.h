/* SPDX-License-Identifier: MIT
 *
 * Copies (Deliver=copy) that clients have not closed yet. They are memory that is charged to the opener for as long as
 * their receivers like, so there is a bound to them, of one user and of all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* So many at the most. */
#define COPIES_MAX 1024
#define COPIES_BYTES_MAX ((size_t)256 << 20)
/* One user has a quarter of the bytes, and of the copies as many as one request may ask for; and no more of either than
 * is left for others. */
#define COPIES_USER_MAX 256
#define COPIES_USER_BYTES_MAX (COPIES_BYTES_MAX / 4)

struct copies;

int copies_new(struct copies **ret);
struct copies *copies_free(struct copies *copies);

/* Notes a copy that is about to be handed to a user: a file of memfd_create(2), which stays the caller's. 0, or -errno,
 * and then it is not noted: -EDQUOT if that is more than the user or all may hold. */
int copies_add(struct copies *copies, uid_t uid, int fd, size_t size);

/* Forgets those that are gone. True if some are left. */
bool copies_sweep(struct copies *copies);
