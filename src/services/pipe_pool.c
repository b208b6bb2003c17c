/* SPDX-License-Identifier: MIT
 *
 * Pipes through which bulk is spliced.
 */
#include "services/pipe_pool.h"

#include <fcntl.h>

#include "base/macro.h"

static void pipe_close(struct pipe *pipe)
{
	fd_close(TAKE_FD(pipe->read_fd));
	fd_close(TAKE_FD(pipe->write_fd));
	pipe->held = 0;
}

void pipe_pool_clear(struct pipe_pool *pool)
{
	while (pool->n_kept > 0)
		pipe_close(&pool->kept[--pool->n_kept]);
}

int pipe_pool_borrow(struct pipe_pool *pool, struct pipe *ret)
{
	int fds[2];

	if (pool->n_lent >= PIPES_MAX)
		return -EBUSY;
	if (pool->n_kept > 0) {
		*ret = pool->kept[--pool->n_kept];
	} else {
		if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
			return -errno;
		*ret = (struct pipe){ .read_fd = fds[0], .write_fd = fds[1] };
	}
	pool->n_lent++;
	return 0;
}

void pipe_pool_return(struct pipe_pool *pool, struct pipe *pipe)
{
	if (pipe->read_fd < 0)
		return;
	pool->n_lent--;
	if (pipe->held == 0 && pool->n_kept < PIPES_KEPT)
		pool->kept[pool->n_kept++] = *pipe;
	else
		pipe_close(pipe);
	*pipe = (struct pipe){ .read_fd = -EBADF, .write_fd = -EBADF };
}
