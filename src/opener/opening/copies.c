/* SPDX-License-Identifier: MIT
 *
 * Copies that clients have not closed yet.
 */
#include "opener/opening/copies.h"

#include <stdint.h>
#include <sys/inotify.h>

#include "base/macro.h"
#include "kernel/pin.h"

struct copy {
	int watch;
	uid_t uid;
	size_t size;
};

struct copies {
	int inotify_fd; /* owned; negative: there was none to be had */
	size_t count;
	struct copy list[COPIES_MAX];
};

int copies_new(struct copies **ret)
{
	*ret = calloc(1, sizeof(struct copies));
	if (!*ret)
		return -ENOMEM;
	/* Root's processes share a number of them. Without one no copy is made, but all else goes on. */
	(*ret)->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return 0;
}

struct copies *copies_free(struct copies *copies)
{
	if (copies)
		fd_close(copies->inotify_fd);
	free(copies);
	return NULL;
}

static void forget(struct copies *copies, int watch)
{
	for (size_t i = 0; i < copies->count; i++)
		if (copies->list[i].watch == watch) {
			copies->list[i] = copies->list[--copies->count];
			return;
		}
}

/* A lease would tell of open files alone, and O_PATH (from /proc/self/fd) keeps the memory as well without being one:
 * a watch ends with the last of whatever leads to the file, and tells that once. */
bool copies_sweep(struct copies *copies)
{
	struct inotify_event events[64];
	ssize_t size;

	while (copies->count > 0 && (size = read(copies->inotify_fd, events, sizeof(events))) > 0)
		for (size_t i = 0; i < (size_t)size / sizeof(events[0]); i++)
			if (events[i].mask & IN_IGNORED)
				forget(copies, events[i].wd);
	return copies->count > 0;
}

/* Nobody may have more than is left, so that whoever comes next finds something. Root is not one user but many
 * services. */
static bool has_room(const struct copies *copies, uid_t uid, size_t size)
{
	size_t bytes = 0, user_bytes = size, user_count = 1;

	for (size_t i = 0; i < copies->count; i++) {
		bytes += copies->list[i].size;
		if (copies->list[i].uid != uid)
			continue;
		user_bytes += copies->list[i].size;
		user_count++;
	}
	if (copies->count >= COPIES_MAX || bytes + size > COPIES_BYTES_MAX)
		return false;
	return uid == 0 || (user_count <= MIN_OF((size_t)COPIES_USER_MAX, COPIES_MAX - copies->count) &&
			    user_bytes <= MIN_OF(COPIES_USER_BYTES_MAX, COPIES_BYTES_MAX - bytes));
}

int copies_add(struct copies *copies, uid_t uid, int fd, size_t size)
{
	char path[PIN_PROC_PATH_SIZE];
	int watch;

	if (!has_room(copies, uid, size))
		(void)copies_sweep(copies);
	if (!has_room(copies, uid, size))
		return -EDQUOT;

	if (copies->inotify_fd < 0)
		copies->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (copies->inotify_fd < 0)
		return -errno;
	pin_proc_path(fd, path);
	/* It has no name that could be moved, so of this comes nothing, but the watch's end. */
	watch = inotify_add_watch(copies->inotify_fd, path, IN_MOVE_SELF);
	if (watch < 0)
		return -errno;
	copies->list[copies->count++] = (struct copy){ .watch = watch, .uid = uid, .size = size };
	return 0;
}
