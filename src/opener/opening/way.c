/* SPDX-License-Identifier: MIT
 *
 * Who, besides root, could have put a file where it is found.
 *
 * Whoever can change a directory can move into it what they can move out of another one on the same file system, be it
 * somebody else's: rename(2) asks for the right to write in both directories, and nothing of a file.
 */
#include "opener/opening/way.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "kernel/host.h"

/* As the kernel has it (MAXSYMLINKS). */
#define LINKS_MAX 40

struct walk {
	int directory; /* owned */
	struct statx status; /* of it */
	const char *within;
	char rest[PATH_MAX]; /* to be looked up from there */
	unsigned links;
	struct way *way;
};

static void add_user(struct way *way, uid_t uid)
{
	if (way->choice == WAY_OF_ROOT)
		*way = (struct way){ .choice = WAY_OF_ONE, .uid = uid };
	else if (way->uid != uid)
		way->choice = WAY_OF_MANY;
}

static int look(int fd, struct statx *ret)
{
	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, ret) < 0 ? -errno : 0;
}

static dev_t device_of(const struct statx *status)
{
	return makedev(status->stx_dev_major, status->stx_dev_minor);
}

/* Out of a sticky directory others move only what they own. Into it they move what they like, where the name is free:
 * a file without a right to it, but a directory only with the right to write in that, too, because its ".." changes. So
 * a directory that others can't write is there by its owner or this one's. A mount has an owner of its own. */
static bool is_settled(const struct statx *directory, const struct statx *entry)
{
	return (directory->stx_mode & S_ISVTX) && S_ISDIR(entry->stx_mode) && (entry->stx_mode & 022) == 0 &&
	       device_of(entry) == device_of(directory);
}

/* An access control list that lets somebody write shows in the group bits, which are its mask. */
static void add_directory(struct way *way, const struct statx *directory, const struct statx *entry)
{
	if (directory->stx_uid != 0)
		add_user(way, directory->stx_uid);
	if ((directory->stx_mode & 022) != 0 && !is_settled(directory, entry))
		way->choice = WAY_OF_MANY;
}

/* Cuts the next component off what is left. -ENAMETOOLONG: it is none. */
static int next_name(struct walk *walk, char name[static NAME_MAX + 1])
{
	char *begin = walk->rest + strspn(walk->rest, "/");
	size_t length = strcspn(begin, "/");

	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, begin, length);
	name[length] = '\0';
	begin += length;
	begin += strspn(begin, "/");
	memmove(walk->rest, begin, strlen(begin) + 1);
	return 0;
}

/* What a link says comes before what is left. */
static int follow(struct walk *walk, int link)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(link, "", target, sizeof(target) - 1);
	size_t rest = strlen(walk->rest);

	if (length < 0)
		return -errno;
	if (!walk->within || ++walk->links > LINKS_MAX)
		return -ELOOP;
	if (target[0] == '/')
		return -EXDEV;
	if ((size_t)length + 1 + rest >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	memmove(walk->rest + length + 1, walk->rest, rest + 1);
	memcpy(walk->rest, target, (size_t)length);
	walk->rest[length] = '/';
	return 0;
}

/* One component further: 1; 0: that was the last one; or -errno. */
static int step(struct walk *walk)
{
	struct statx entry = { 0 };
	char name[NAME_MAX + 1];
	_cleanup_close_ int next = -EBADF;
	int r = next_name(walk, name);

	if (r < 0)
		return r;
	next = openat(walk->directory, name[0] ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 && (errno != ENOENT || walk->rest[0] != '\0'))
		return -errno;
	r = next < 0 ? 0 : look(next, &entry);
	if (r < 0)
		return r;

	/* Where ".." leads to nobody chooses but by moving the directory, which was looked at on the way to it. */
	if (strcmp(name, "..") != 0)
		add_directory(walk->way, &walk->status, &entry);
	if (next >= 0 && S_ISLNK(entry.stx_mode)) {
		r = follow(walk, next);
		return r < 0 ? r : 1;
	}
	if (walk->rest[0] == '\0')
		return 0;
	if (!S_ISDIR(entry.stx_mode))
		return -ENOTDIR;
	fd_close(walk->directory);
	walk->directory = TAKE_FD(next);
	walk->status = entry;
	return 1;
}

int way_look(const char *path, const char *within, struct way *ret)
{
	struct walk walk = { .within = within, .way = ret };
	size_t length = strlen(path);
	int r;

	if (length >= sizeof(walk.rest))
		return -ENAMETOOLONG;
	memcpy(walk.rest, path, length + 1);
	*ret = (struct way){ .choice = WAY_OF_ROOT };

	walk.directory = host_pin("/", O_DIRECTORY, 0);
	if (walk.directory < 0)
		return walk.directory;
	r = look(walk.directory, &walk.status);
	if (r == 0)
		do
			r = step(&walk);
		while (r > 0);
	ret->device = device_of(&walk.status);
	ret->inode = walk.status.stx_ino;
	fd_close(walk.directory);
	return r;
}
