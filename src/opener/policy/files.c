/* SPDX-License-Identifier: MIT
 *
 * Which files make up the policy, and whether they can be believed. Layered as the UAPI.6 specification says:
 * files.conf of the highest directory alone, then the drop-ins of all directories in the order of their names,
 * where one of the same name in a higher directory replaces the lower one, and an empty one or a link to
 * /dev/null masks it.
 */
#include "opener/policy/files.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/drop_ins.h"
#include "kernel/host.h"
#include "kernel/pin.h"
#include "opener/policy/parse.h"

#define MAIN_FILE "files.conf"
#define DROP_IN_DIRECTORY "files.conf.d"

static bool is_believed(const struct stat *status, uid_t owner)
{
	/* An ACL that lets anybody write shows in the group bits: they are its mask. */
	return (status->st_uid == 0 || status->st_uid == owner) && (status->st_mode & 022) == 0;
}

struct belief {
	uid_t owner;
	size_t strict_from; /* the path's length from which on a sticky directory is not enough */
	size_t length;	    /* of the path that leads to what is not believed */
};

/* In a sticky directory nobody else can exchange what is there; but anybody can put something there. */
static int visit_believed(int directory, const struct stat *status, size_t length, void *data)
{
	struct belief *belief = data;

	(void)directory;
	if (is_believed(status, belief->owner))
		return 0;
	if ((status->st_uid == 0 || status->st_uid == belief->owner) && (status->st_mode & S_ISVTX) &&
	    length < belief->strict_from)
		return 0;
	belief->length = length;
	return 1;
}

/* Could anybody else have a hand in what lies in the directory of `path`? Reports it then. */
static bool check_way(struct raw_policy *raw, const char *name, const char *path, size_t strict_from)
{
	struct belief belief = { .owner = raw->source->owner, .strict_from = strict_from };
	int r = pin_walk(path, visit_believed, &belief);

	if (r < 0)
		raw_policy_unreadable(raw, name, r);
	if (r > 0)
		raw_policy_error(raw, name, 0, NULL, NULL, "not read, because others than root own or can write "
				 "%.*s", (int)belief.length, path);
	return r == 0;
}

static bool is_null_device(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* Pins a file of the policy. -ENOENT: there is none; -EBADF: it was reported. A link that leads nowhere is something
 * that was meant to be there. */
static int pin_file(struct raw_policy *raw, const char *path)
{
	int pin = host_open(path, O_PATH);
	_cleanup_close_ int link = pin == -ENOENT ? host_open(path, O_PATH | O_NOFOLLOW) : -EBADF;

	if (pin >= 0 || link == -ENOENT)
		return pin;
	raw_policy_unreadable(raw, path, pin == -ENOENT && link < 0 ? link : pin);
	return -EBADF;
}

/* Opens a file of the policy if it may be believed. -ENOENT: there is none; -EBADF: it was reported;
 * -ENODATA: it masks what has its name. */
static int open_file(struct raw_policy *raw, const char *path)
{
	_cleanup_close_ int pin = pin_file(raw, path);
	char real[PATH_MAX];
	struct stat status;
	int r;

	if (pin < 0)
		return pin;
	r = fstat(pin, &status) < 0 ? -errno : 0;
	if (r == 0 && is_null_device(&status))
		return -ENODATA;
	if (r == 0 && !S_ISREG(status.st_mode)) {
		raw_policy_error(raw, path, 0, NULL, NULL, "not a regular file");
		return -EBADF;
	}
	if (r == 0 && !is_believed(&status, raw->source->owner)) {
		raw_policy_error(raw, path, 0, NULL, NULL, "not read, because others than root own or can write it");
		return -EBADF;
	}
	if (r == 0)
		r = pin_real_path(pin, real, sizeof(real));
	if (r == 0 && !check_way(raw, path, real, (size_t)(strrchr(real, '/') - real)))
		return -EBADF;
	if (r == 0 && status.st_size == 0)
		return -ENODATA;
	if (r == 0)
		r = pin_reopen(pin, O_RDONLY | O_NOCTTY);
	if (r >= 0)
		return r;
	raw_policy_unreadable(raw, path, r);
	return -EBADF;
}

/* Lays one file over what is there. 1 if it decided about its name, 0 if there is none, or -ENOMEM. */
static int read_file(struct raw_policy *raw, const char *directory, const char *name)
{
	const char *path = raw_policy_add_file(raw, directory, name);
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (!path)
		return -ENOMEM;
	fd = open_file(raw, path);
	if (fd < 0)
		return fd != -ENOENT;

	r = policy_parse_file(raw, fd, path);
	return r < 0 ? r : 1;
}

/* Is the directory there, and may what lies in it be believed? What is wrong was reported. */
static bool check_directory(struct raw_policy *raw, const char *path)
{
	_cleanup_close_ int pin = host_open(path, O_PATH);
	char inside[PATH_MAX + sizeof("/" MAIN_FILE)];
	int r = pin < 0 ? pin : pin_real_path(pin, inside, PATH_MAX);
	size_t length;

	if (r < 0) {
		if (r != -ENOENT)
			raw_policy_unreadable(raw, path, r);
		return false;
	}
	length = strlen(inside);
	(void)stpcpy(inside + length, "/" MAIN_FILE);
	return check_way(raw, path, inside, length);
}

static void list_drop_ins(struct raw_policy *raw, struct drop_ins *list, const char *path, size_t index)
{
	_cleanup_close_ int pin = -EBADF;
	int r;

	if (!check_directory(raw, path))
		return;
	pin = host_open(path, O_PATH | O_DIRECTORY);
	r = pin < 0 ? pin : pin_reopen(pin, O_RDONLY | O_DIRECTORY);
	if (r >= 0)
		r = drop_ins_add(list, r, index, POLICY_FILES_MAX);
	if (r == -E2BIG)
		raw_policy_error(raw, path, 0, NULL, NULL, "more than %d files are too many", POLICY_FILES_MAX);
	else if (r < 0)
		raw_policy_unreadable(raw, path, r);
}

static int read_drop_ins(struct raw_policy *raw)
{
	_cleanup_(drop_ins_clear) struct drop_ins list = { 0 };
	const char *directories[POLICY_DIRECTORIES_MAX];

	for (size_t i = 0; i < POLICY_DIRECTORIES_MAX; i++) {
		if (!raw->source->directories[i])
			continue;
		directories[i] = raw_policy_add_file(raw, raw->source->directories[i], DROP_IN_DIRECTORY);
		if (!directories[i])
			return -ENOMEM;
		list_drop_ins(raw, &list, directories[i], i);
	}

	drop_ins_sort(&list);
	for (size_t i = 0; i < list.count; i++) {
		int r = read_file(raw, directories[list.items[i].directory], list.items[i].name);

		if (r < 0)
			return r;
	}
	return 0;
}

int policy_read_files(struct raw_policy *raw)
{
	int r;

	for (size_t i = POLICY_DIRECTORIES_MAX; i > 0; i--) {
		const char *directory = raw->source->directories[i - 1];

		if (!directory)
			continue;
		r = check_directory(raw, directory) ? read_file(raw, directory, MAIN_FILE) : 0;
		if (r < 0)
			return r;
		if (r > 0)
			break;
	}
	r = read_drop_ins(raw);
	return r < 0 ? r : raw->shortage;
}
