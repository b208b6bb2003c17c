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

/* How many of the first have numbers that follow one another, as the kernel gives them to what comes at once. */
static size_t count_run(const int *fds, size_t count)
{
	size_t run = 1;

	while (run < count && fds[0] >= 0 && fds[run] == fds[0] + (int)run)
		run++;
	return run;
}

/* Where entering the kernel is most of what closing costs, a call for each would take twice as long. */
static bool close_at_once(int first, size_t count)
{
	int saved = errno;
	bool closed = count > 1 && close_range((unsigned)first, (unsigned)first + (unsigned)count - 1, 0) == 0;

	errno = saved;
	return closed;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0, run; i < count; i += run) {
		run = count_run(fds + i, count - i);
		/* Kernels before 5.9 and system call filters may not have it. */
		if (!close_at_once(fds[i], run))
			for (size_t j = i; j < i + run; j++)
				fd_close(fds[j]);
	}
}

void fdset_clear(struct fdset *set)
{
	close_all(set->fds, set->count);
	set->count = 0;
}

void fdset_clear_both(struct fdset *a, struct fdset *b)
{
	int fds[2 * FDSET_MAX];
	size_t count = 0, i = 0, j = 0;

	/* What is not in ascending order makes more calls of it, and nothing else. */
	while (i < a->count || j < b->count) {
		bool take_a = j == b->count || (i < a->count && a->fds[i] < b->fds[j]);

		fds[count++] = take_a ? a->fds[i++] : b->fds[j++];
	}
	close_all(fds, count);
	a->count = b->count = 0;
}

void fdset_move(struct fdset *to, struct fdset *from)
{
	to->count = from->count;
	memcpy(to->fds, from->fds, from->count * sizeof(int));
	from->count = 0;
}
