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

/* How many from `index` on have numbers that follow one another, as the kernel gives them to what comes at once. */
static size_t count_run(const struct fdset *set, size_t index)
{
	size_t count = 1;

	while (index + count < set->count && set->fds[index] >= 0 &&
	       set->fds[index + count] == set->fds[index] + (int)count)
		count++;
	return count;
}

/* Where entering the kernel is most of what closing costs, a call for each would take twice as long. */
static bool close_at_once(int first, size_t count)
{
	int saved = errno;
	bool closed = count > 1 && close_range((unsigned)first, (unsigned)first + (unsigned)count - 1, 0) == 0;

	errno = saved;
	return closed;
}

void fdset_clear(struct fdset *set)
{
	for (size_t i = 0, count; i < set->count; i += count) {
		count = count_run(set, i);
		/* Kernels before 5.9 and system call filters may not have it. */
		if (!close_at_once(set->fds[i], count))
			for (size_t j = i; j < i + count; j++)
				fd_close(set->fds[j]);
	}
	set->count = 0;
}

void fdset_move(struct fdset *to, struct fdset *from)
{
	to->count = from->count;
	memcpy(to->fds, from->fds, from->count * sizeof(int));
	from->count = 0;
}
