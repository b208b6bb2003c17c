/* SPDX-License-Identifier: MIT
 *
 * The host's files, seen from a service's own view of the file system.
 */
#include "kernel/host.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "base/macro.h"

/* The kernel answers EAGAIN when a rename or mount raced with a lookup that must not escape, or with one in its
 * cache: asking again is what it wants then, and a few times are enough. */
#define TRIES 8

static int host_root = -EBADF;
static char host_directory[PATH_MAX];

int host_enter(const char *directory)
{
	int fd;

	if (host_root >= 0)
		return -EBUSY;
	/* As the kernel writes it, because its paths are compared with this one. */
	if (!realpath(directory, host_directory))
		return -errno;
	fd = open(host_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The root itself would be the same as none. */
	if (strcmp(host_directory, "/") == 0)
		fd_close(fd);
	else
		host_root = fd;
	return 0;
}

int host_pin_at(int directory, const char *path, uint64_t flags, uint64_t resolve_flags)
{
	struct open_how how = {
		.flags = flags | O_PATH | O_CLOEXEC,
		.resolve = resolve_flags | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	/* glibc has no wrapper for it. */
	errno = EAGAIN;
	for (int tries = 0; fd < 0 && (errno == EAGAIN || errno == EINTR) && tries < TRIES; tries++)
		fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

int host_pin(const char *path, uint64_t flags, uint64_t resolve_flags)
{
	if (host_root < 0)
		return host_pin_at(AT_FDCWD, path, flags, resolve_flags);
	/* Links of the host's that are absolute lead to the host's files, too. */
	return host_pin_at(host_root, path, flags, resolve_flags | RESOLVE_IN_ROOT);
}

/* An absolute path as one relative to the directory: with one slash left over it would be a path of this process's own
 * view. */
static const char *beneath_root(const char *path)
{
	path += strspn(path, "/");
	return *path ? path : ".";
}

int host_open(const char *path, int flags)
{
	int fd;

	if (path[0] != '/')
		return -EINVAL;
	if (host_root < 0) {
		fd = open(path, flags | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	if (flags & O_PATH) {
		fd = host_pin(path, (uint64_t)(unsigned)flags, 0);
		if (fd != -ENOSYS)
			return fd;
	}
	fd = openat(host_root, beneath_root(path), flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int host_status(const char *path, struct stat *ret)
{
	int directory = AT_FDCWD;

	if (host_root >= 0) {
		directory = host_root;
		path = beneath_root(path);
	}
	return fstatat(directory, path, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int host_has_attribute(const char *path, const char *name)
{
	char whole[2 * PATH_MAX];

	if (host_root >= 0) {
		(void)snprintf(whole, sizeof(whole), "%s%s", host_directory, path);
		path = whole;
	}
	if (lgetxattr(path, name, NULL, 0) >= 0)
		return 1;
	return errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
}

const char *host_path(const char *path)
{
	size_t length = strlen(host_directory);

	if (host_root < 0 || strncmp(path, host_directory, length) != 0)
		return path;
	if (path[length] == '\0')
		return "/";
	return path[length] == '/' ? path + length : path;
}
