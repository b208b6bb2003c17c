/* SPDX-License-Identifier: MIT
 *
 * A bounded set of owned file descriptors: what travels in one SCM_RIGHTS message.
 */
#pragma once

#include <stddef.h>

/* The kernel's SCM_MAX_FD: sendmsg() of more fails with EINVAL. */
#define FDSET_MAX 253

struct fdset {
	size_t count;
	int fds[FDSET_MAX]; /* owned; only the first `count` are valid */
};

/* An empty set. */
void fdset_init(struct fdset *set);

/* Adds an fd. -ENOSPC when full; the fd is then closed. Consumes fd in any case. */
int fdset_add(struct fdset *set, int fd /* consumes fd */);

/* Takes the fd at `index` out, leaving a hole that is not closed again; -EBADF where there is none. */
int fdset_take(struct fdset *set, size_t index);

/* Closes every fd of the set and empties it. */
void fdset_clear(struct fdset *set);

/* The same for two sets that filled by turns. */
void fdset_clear_both(struct fdset *a, struct fdset *b);

/* Moves all fds of `from` to the (empty) set `to`. */
void fdset_move(struct fdset *to, struct fdset *from);
