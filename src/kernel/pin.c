/* SPDX-License-Identifier: MIT
 *
 * Files held by O_PATH before anything is done with them.
 */
#include "kernel/pin.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "base/macro.h"
#include "kernel/host.h"

/* The part of `path` below `within`; NULL if it is not below it. */
static const char *below(const char *path, const char *within)
{
	size_t length = strlen(within);

	while (length > 0 && within[length - 1] == '/')
		length--;
	if (strncmp(path, within, length) != 0 || path[length] != '/')
		return NULL;
	path += length;
	while (*path == '/')
		path++;
	return path;
}

int pin_open(const char *path, const char *within)
{
	_cleanup_close_ int directory = -EBADF;

	if (path[0] != '/')
		return -EINVAL;
	if (!within)
		return host_pin(path, 0, RESOLVE_NO_SYMLINKS);

	path = below(path, within);
	if (!path || *path == '\0')
		return -EINVAL;
	directory = host_pin(within, O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (directory < 0)
		return directory;
	return host_pin_at(directory, path, 0, RESOLVE_BENEATH);
}

int pin_open_parent(const char *path, const char *within, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_close_ int directory = -EBADF;
	_cleanup_free_ char *parent = NULL;

	if (path[0] != '/' || slash[1] == '\0')
		return -EINVAL;
	*ret_name = slash + 1;

	parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!parent)
		return -ENOMEM;
	if (!within)
		return host_pin(parent, O_DIRECTORY, RESOLVE_NO_SYMLINKS);

	directory = host_pin(within, O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (directory < 0 || strcmp(parent, within) == 0)
		return TAKE_FD(directory);
	path = below(parent, within);
	if (!path)
		return -EINVAL;
	return host_pin_at(directory, *path ? path : ".", O_DIRECTORY, RESOLVE_BENEATH);
}

void pin_proc_path(int fd, char buffer[static PIN_PROC_PATH_SIZE])
{
	(void)number_write((uint64_t)fd, stpcpy(buffer, PIN_PROC_FDS));
}

/* This process's descriptors in /proc: the way to them takes nearly as long as the opening. */
static int own_fds = -EBADF;

/* A child would open its parent's. */
static void forget_own_fds(void)
{
	fd_close(TAKE_FD(own_fds));
}

static int find_own_fds(void)
{
	static bool forgotten_by_children;

	if (!forgotten_by_children)
		forgotten_by_children = pthread_atfork(NULL, NULL, forget_own_fds) == 0;
	if (own_fds < 0 && forgotten_by_children)
		own_fds = open(PIN_PROC_FDS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return own_fds;
}

int pin_reopen(int pin, int flags)
{
	int fd, directory = find_own_fds();
	char path[PIN_PROC_PATH_SIZE];
	const char *name = path;

	pin_proc_path(pin, path);
	if (directory >= 0)
		name = path + strlen(PIN_PROC_FDS);
	do
		fd = openat(directory, name, flags | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);

	return fd < 0 ? -errno : fd;
}

static bool is_removed(const char *path, size_t length)
{
	static const char mark[] = " (deleted)";

	return length >= strlen(mark) && strcmp(path + length - strlen(mark), mark) == 0;
}

int pin_real_path(int pin, char *buffer, size_t size)
{
	char link[PIN_PROC_PATH_SIZE];
	const char *path;
	ssize_t length;

	pin_proc_path(pin, link);
	length = readlink(link, buffer, size);
	if (length < 0)
		return -errno;
	if ((size_t)length >= size)
		return -ENAMETOOLONG;
	buffer[length] = '\0';
	path = host_path(buffer);
	memmove(buffer, path, strlen(path) + 1);

	/* Pipes and sockets have names like "pipe:[1]", another mount tree's files "(unreachable)/...". The name that
	 * was removed stays removed, whatever has it next. One that was made to end so can't be told from it. */
	return buffer[0] == '/' && !is_removed(buffer, strlen(buffer)) ? 0 : -ENOENT;
}

/* The kernel holds a directory's lock while a name in it is removed: first the inode's links are counted down, then
 * the name goes. Reading the directory takes the same lock. */
int pin_settle(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	_cleanup_close_ int directory = -EBADF, pin = -EBADF;
	char entry[512];

	if (!parent)
		return -ENOMEM;
	pin = host_open(parent, O_PATH | O_DIRECTORY | O_NOFOLLOW);
	directory = pin < 0 ? pin : pin_reopen(pin, O_RDONLY | O_DIRECTORY);
	if (directory < 0)
		return directory;
	(void)syscall(SYS_getdents64, directory, entry, sizeof(entry));
	return 0;
}

int pin_is_kernel_control(int fd)
{
	/* linux/magic.h of Debian 12 has most of them; numbers are ABI, and their names are not everywhere. */
	static const uint32_t controls[] = {
		0x9fa0,	    /* proc */
		0x62656572, /* sysfs */
		0x27e0eb,   /* cgroup */
		0x63677270, /* cgroup2 */
		0x64626720, /* debugfs */
		0x74726163, /* tracefs */
		0x73636673, /* securityfs */
		0xcafe4a11, /* bpf */
		0xde5e81e4, /* efivarfs */
		0xf97cff8c, /* selinuxfs */
		0x43415d53, /* smackfs */
		0x62656570, /* configfs */
		0x65735543, /* fusectl */
		0x42494e4d, /* binfmt_misc */
		0x6e736673, /* nsfs */
		0x7655821,  /* resctrl */
		0x6165676c, /* pstore */
		0x6e667364, /* nfsd */
		0x67596969, /* rpc_pipefs */
		0x6c6f6f70, /* binder */
	};
	struct statfs status;

	if (fstatfs(fd, &status) < 0)
		return -errno;
	for (size_t i = 0; i < ELEMENTSOF(controls); i++)
		if ((uint32_t)status.f_type == controls[i])
			return 1;
	return 0;
}

int pin_has_plain_modes(int fd)
{
	static const uint32_t plain[] = {
		0xef53,	    /* ext2, ext3, ext4 */
		0x58465342, /* xfs */
		0x9123683e, /* btrfs */
		0xf2f52010, /* f2fs */
		0xca451a4e, /* bcachefs */
		0x01021994, /* tmpfs */
		0x858458f6, /* ramfs */
		0x794c7630, /* overlayfs */
		0xe0f5e1e2, /* erofs */
		0x73717368, /* squashfs */
	};
	struct statfs status;

	if (fstatfs(fd, &status) < 0)
		return -errno;
	for (size_t i = 0; i < ELEMENTSOF(plain); i++)
		if ((uint32_t)status.f_type == plain[i])
			return 1;
	return 0;
}

static int has_attribute(int fd, const char *name)
{
	char path[PIN_PROC_PATH_SIZE];

	/* fgetxattr() refuses O_PATH fds. */
	pin_proc_path(fd, path);
	if (getxattr(path, name, NULL, 0) >= 0)
		return 1;
	return errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
}

int pin_has_acl(int fd)
{
	int r = has_attribute(fd, "system.posix_acl_access");

	if (r != 0)
		return r < 0 ? r : PIN_ACL_POSIX;
	r = has_attribute(fd, "system.nfs4_acl");
	return r > 0 ? PIN_ACL_NFS4 : r;
}

int pin_has_default_acl(int fd)
{
	return has_attribute(fd, "system.posix_acl_default");
}

int pin_walk(const char *path, pin_visitor visit, void *data)
{
	_cleanup_close_ int directory = -EBADF;
	const char *component = path;

	if (path[0] != '/')
		return -EINVAL;
	directory = host_pin("/", O_DIRECTORY, 0);
	if (directory < 0)
		return directory;

	for (;;) {
		char name[NAME_MAX + 1];
		struct stat status;
		const char *end;
		int next, r;

		if (directory < 0 || fstat(directory, &status) < 0)
			return -errno;
		r = visit(directory, &status, component == path ? 1 : (size_t)(component - path), data);
		if (r != 0)
			return r;

		while (*component == '/')
			component++;
		end = strchr(component, '/');
		if (!end)
			return 0;
		if ((size_t)(end - component) >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, component, (size_t)(end - component));
		name[end - component] = '\0';

		next = openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		fd_close(directory);
		directory = next;
		component = end;
	}
}
