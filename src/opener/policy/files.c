/* SPDX-License-Identifier: MIT
 *
 * Which files make up the policy, and whether they can be believed. Layered as the UAPI.6 specification says:
 * files.conf of the highest directory alone, then the drop-ins of all directories in the order of their names,
 * where one of the same name in a higher directory replaces the lower one, and an empty one or a link to
 * /dev/null masks it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/drop_ins.h"
#include "kernel/host.h"
#include "kernel/pin.h"
#include "opener/policy/raw.h"

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
static bool check_way(struct raw_policy *raw, const char *name, const char *path, size_t strict_from,
		      const struct policy_source *source)
{
	struct belief belief = { .owner = source->owner, .strict_from = strict_from };
	int r = pin_walk(path, visit_believed, &belief);

	if (r < 0)
		raw_policy_unreadable(raw, name, r);
	if (r > 0)
		raw_policy_error(raw, name, 0, NULL, NULL, "not read, because others than root own or can write "
				 "%.*s", (int)belief.length, path);
	return r == 0;
}

/* Remembers a file's name for as long as the raw policy lives. NULL: no memory. */
static const char *remember_file(struct raw_policy *raw, const char *directory, const char *name)
{
	char **files = reallocarray(raw->files, raw->n_files + 1, sizeof(*files));

	if (!files)
		return NULL;
	raw->files = files;
	if (asprintf(&files[raw->n_files], "%s/%s", directory, name) < 0)
		return NULL;
	return files[raw->n_files++];
}

static bool is_null_device(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* Opens a file of the policy if it may be believed. -ENOENT: there is none; -EBADF: it was reported;
 * -ENODATA: it masks what has its name. */
static int open_file(struct raw_policy *raw, const char *path, const struct policy_source *source)
{
	_cleanup_close_ int pin = host_open(path, O_PATH), link = -EBADF;
	char real[PATH_MAX];
	struct stat status;
	int r = pin < 0 ? pin : 0;

	if (r == 0 && fstat(pin, &status) < 0)
		r = -errno;
	if (r < 0) {
		/* A link that leads nowhere is an error: what it hides was meant to be there. */
		link = r == -ENOENT ? host_open(path, O_PATH | O_NOFOLLOW) : -EBADF;
		if (link == -ENOENT)
			return -ENOENT;
		raw_policy_unreadable(raw, path, r == -ENOENT && link < 0 ? link : r);
		return -EBADF;
	}
	if (is_null_device(&status))
		return -ENODATA;
	if (!S_ISREG(status.st_mode)) {
		raw_policy_error(raw, path, 0, NULL, NULL, "not a regular file");
		return -EBADF;
	}
	if (!is_believed(&status, source->owner)) {
		raw_policy_error(raw, path, 0, NULL, NULL, "not read, because others than root own or can write it");
		return -EBADF;
	}
	r = pin_real_path(pin, real, sizeof(real));
	if (r < 0) {
		raw_policy_unreadable(raw, path, r);
		return -EBADF;
	}
	if (!check_way(raw, path, real, (size_t)(strrchr(real, '/') - real), source))
		return -EBADF;
	if (status.st_size == 0)
		return -ENODATA;

	r = pin_reopen(pin, O_RDONLY | O_NOCTTY);
	if (r < 0) {
		raw_policy_unreadable(raw, path, r);
		return -EBADF;
	}
	return r;
}

/* Lays one file over what is there. 1 if it decided about its name, 0 if there is none, or -ENOMEM. */
static int read_file(struct raw_policy *raw, const char *directory, const char *name,
		     const struct policy_source *source)
{
	const char *path = remember_file(raw, directory, name);
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (!path)
		return -ENOMEM;
	fd = open_file(raw, path, source);
	if (fd < 0)
		return fd != -ENOENT;

	r = policy_parse_file(raw, fd, path);
	return r < 0 ? r : 1;
}

/* Is the directory there, and may what lies in it be believed? 1 or 0; what is wrong was reported. */
static int check_directory(struct raw_policy *raw, const char *path, const struct policy_source *source)
{
	_cleanup_close_ int pin = host_open(path, O_PATH);
	_cleanup_free_ char *inside = NULL;
	char real[PATH_MAX];
	int r = pin < 0 ? pin : pin_real_path(pin, real, sizeof(real));

	if (r < 0) {
		if (r != -ENOENT)
			raw_policy_unreadable(raw, path, r);
		return 0;
	}
	if (asprintf(&inside, "%s/%s", real, MAIN_FILE) < 0)
		return -ENOMEM;
	return check_way(raw, path, inside, strlen(real), source);
}

DEFINE_CLEANUP(DIR *, cleanup_directory, closedir)

/* NULL: errno says why. */
static DIR *open_directory(const char *path)
{
	_cleanup_close_ int pin = host_open(path, O_PATH | O_DIRECTORY);
	int fd = pin < 0 ? pin : pin_reopen(pin, O_RDONLY | O_DIRECTORY);
	DIR *directory = NULL;

	errno = fd < 0 ? -fd : 0;
	if (fd >= 0)
		directory = fdopendir(fd);
	if (!directory)
		fd_close(fd);
	return directory;
}

static int list_drop_ins(struct raw_policy *raw, struct drop_ins *list, const char *path, size_t index,
			 const struct policy_source *source)
{
	_cleanup_(cleanup_directory) DIR *directory = NULL;
	struct dirent *entry;
	int r = check_directory(raw, path, source);

	if (r <= 0)
		return r;
	directory = open_directory(path);
	while (directory && (errno = 0, entry = readdir(directory))) {
		if (!drop_in_is_name(entry->d_name))
			continue;
		r = drop_ins_add(list, entry->d_name, index, POLICY_FILES_MAX);
		if (r == -E2BIG) {
			raw_policy_error(raw, path, 0, NULL, NULL, "more than %d files are too many",
					 POLICY_FILES_MAX);
			return 0;
		}
		if (r < 0)
			return r;
	}
	if (errno != 0)
		raw_policy_unreadable(raw, path, -errno);
	return 0;
}

static int read_drop_ins(struct raw_policy *raw, const struct policy_source *source)
{
	_cleanup_(drop_ins_clear) struct drop_ins list = { 0 };
	char *directories[POLICY_DIRECTORIES_MAX] = { NULL };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < POLICY_DIRECTORIES_MAX; i++) {
		if (!source->directories[i])
			continue;
		if (asprintf(&directories[i], "%s/" DROP_IN_DIRECTORY, source->directories[i]) < 0) {
			directories[i] = NULL;
			r = -ENOMEM;
			break;
		}
		r = list_drop_ins(raw, &list, directories[i], i, source);
	}

	drop_ins_sort(&list);
	for (size_t i = 0; r >= 0 && i < list.count; i++)
		r = read_file(raw, directories[list.items[i].directory], list.items[i].name, source);

	for (size_t i = 0; i < POLICY_DIRECTORIES_MAX; i++)
		free(directories[i]);
	return r < 0 ? r : 0;
}

int policy_read_files(struct raw_policy *raw, const struct policy_source *source)
{
	int r;

	for (size_t i = POLICY_DIRECTORIES_MAX; i > 0; i--) {
		const char *directory = source->directories[i - 1];

		if (!directory)
			continue;
		r = check_directory(raw, directory, source);
		if (r > 0)
			r = read_file(raw, directory, MAIN_FILE, source);
		if (r < 0)
			return r;
		if (r > 0)
			break;
	}
	r = read_drop_ins(raw, source);
	return r < 0 ? r : raw->shortage;
}
