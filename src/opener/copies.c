/* SPDX-License-Identifier: MIT
 *
 * Copies that clients have not closed yet.
 */
#include "opener/copies.h"

#include <fcntl.h>
#include <stdint.h>

#include "base/macro.h"

struct copy {
	int fd;
	uid_t uid;
	size_t size;
};

struct copies {
	size_t max, count;
	struct copy list[];
};

int copies_new(struct copies **ret, size_t max)
{
	max = MIN_OF(max, (size_t)COPIES_MAX);
	*ret = calloc(1, sizeof(struct copies) + max * sizeof(struct copy));
	if (!*ret)
		return -ENOMEM;
	(*ret)->max = max;
	return 0;
}

struct copies *copies_free(struct copies *copies)
{
	if (!copies)
		return NULL;
	for (size_t i = 0; i < copies->count; i++)
		fd_close(copies->list[i].fd);
	free(copies);
	return NULL;
}

/* The kernel gives a lease for writing only on what has no other open file: neither the receiver's, nor one on its way
 * through a socket, nor one that is mapped. */
static bool is_ours_alone(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return false;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

bool copies_sweep(struct copies *copies)
{
	size_t left = 0;

	for (size_t i = 0; i < copies->count; i++) {
		if (is_ours_alone(copies->list[i].fd))
			fd_close(copies->list[i].fd);
		else
			copies->list[left++] = copies->list[i];
	}
	copies->count = left;
	return left > 0;
}

static bool has_room(const struct copies *copies, uid_t uid, size_t size)
{
	size_t bytes = size, user_bytes = size, user_count = 1;

	for (size_t i = 0; i < copies->count; i++) {
		bytes += copies->list[i].size;
		if (copies->list[i].uid != uid)
			continue;
		user_bytes += copies->list[i].size;
		user_count++;
	}
	return copies->count < copies->max && bytes <= COPIES_BYTES_MAX && user_count <= COPIES_USER_MAX &&
	       user_bytes <= COPIES_USER_BYTES_MAX;
}

int copies_add(struct copies *copies, uid_t uid, int fd, size_t size)
{
	if (!has_room(copies, uid, size))
		(void)copies_sweep(copies);
	if (!has_room(copies, uid, size)) {
		fd_close(fd);
		return -EDQUOT;
	}
	copies->list[copies->count++] = (struct copy){ .fd = fd, .uid = uid, .size = size };
	return 0;
}
