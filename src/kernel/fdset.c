/* SPDX-License-Identifier: MIT
 *
 * A bounded set of owned file descriptors.
 */
#include "kernel/fdset.h"

#include "base/macro.h"

void fdset_init(struct fdset *set)
{
	set->count = 0;
}

int fdset_add(struct fdset *set, int fd)
{
	if (set->count >= FDSET_MAX) {
		fd_close(fd);
		return -ENOSPC;
	}

	set->fds[set->count++] = fd;
	return 0;
}

int fdset_take(struct fdset *set, size_t index)
{
	if (index >= set->count)
		return -EBADF;

	return TAKE_FD(set->fds[index]);
}

void fdset_clear(struct fdset *set)
{
	for (size_t i = 0; i < set->count; i++)
		fd_close(set->fds[i]);
	set->count = 0;
}

void fdset_move(struct fdset *to, struct fdset *from)
{
	to->count = from->count;
	memcpy(to->fds, from->fds, from->count * sizeof(int));
	from->count = 0;
}
