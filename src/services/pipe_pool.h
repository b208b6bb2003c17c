/* SPDX-License-Identifier: MIT
 *
 * Pipes through which bulk is spliced, for connections that are busy just now. A pipe is borrowed empty, and comes
 * back empty or is closed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Pipes that are kept for the next one who is busy; and how many are lent at once. */
#define PIPES_KEPT 8
#define PIPES_MAX 64

struct pipe {
	int read_fd, write_fd; /* both -EBADF: none */
	size_t held;	       /* bytes in it */
};

/* All zero is an empty pool. */
struct pipe_pool {
	struct pipe kept[PIPES_KEPT];
	size_t n_kept, n_lent;
};

void pipe_pool_clear(struct pipe_pool *pool);

/* Lends a pipe. -EBUSY: too many are lent; or why there is none. */
int pipe_pool_borrow(struct pipe_pool *pool, struct pipe *ret);

/* Takes a pipe back, if there is one, and leaves none behind. */
void pipe_pool_return(struct pipe_pool *pool, struct pipe *pipe);
