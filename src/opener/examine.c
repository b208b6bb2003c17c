/* SPDX-License-Identifier: MIT
 *
 * Is a pinned file what its grant means, and would opening it give away more than the grant says?
 */
#include "opener/examine.h"

#include <limits.h>
#include <stdarg.h>

#include "kernel/pin.h"

enum opener_result opened_refuse(struct opened *opened, enum opener_result result, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(opened->reason, sizeof(opened->reason), format, arguments);
	va_end(arguments);
	opened->result = result;
	return result;
}

enum opener_result opened_fail(struct opened *opened, const char *what, int error)
{
	switch (-error) {
	case ENOENT:
	case ENOTDIR:
		return opened_refuse(opened, OPENER_FILE_MISSING, "there is no such file");
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
	case ETOOMANYREFS:
		return opened_refuse(opened, OPENER_BUSY, "%s: %s", what, strerror(-error));
	case ELOOP:
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "a symbolic link is in the way");
	case EXDEV:
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "a symbolic link leads out of Within=");
	default:
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "%s: %s", what, strerror(-error));
	}
}

static bool type_fits(enum grant_type type, mode_t mode)
{
	switch (type) {
	case GRANT_REGULAR:
		return S_ISREG(mode);
	case GRANT_DEVICE:
		return S_ISCHR(mode) || S_ISBLK(mode);
	case GRANT_SOCKET:
		return S_ISSOCK(mode);
	}
	return false;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
		return "a character device";
	case S_IFBLK:
		return "a block device";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "of an unknown type";
	}
}

/* 1 for a directory that anybody but root can change, sticky or not: what lies in it may have been put or
 * linked there by them. An ACL that lets somebody write shows in the group bits, which are its mask. */
static int visit_shared(int directory, const struct stat *status, size_t length, void *data)
{
	(void)directory;
	(void)length;
	(void)data;
	return status->st_uid != 0 || (status->st_mode & 022) != 0;
}

static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

/* Could anybody but root have put the file where it is? 1, 0, or -errno of a shortage; what can't be told
 * otherwise, they could. */
static int way_is_shared(const struct grant *grant, const char *real)
{
	/* Below Within= the configured path may have links, at which the walk ends with an error. The links
	 * themselves can be as old as their directories, so the real path alone would not do. */
	int r = pin_walk(grant->path, visit_shared, NULL);

	if (r == 0 && strcmp(grant->path, real) != 0)
		r = pin_walk(real, visit_shared, NULL);
	return is_shortage(r) ? r : r != 0;
}

/* The permission bits of the class that the kernel puts this client in, without its capabilities: a client
 * with those opens files by itself. */
static mode_t class_bits(const struct stat *status, const struct identity *client)
{
	if (client->uid == status->st_uid)
		return (status->st_mode >> 6) & 7;
	if (identity_in_group(client, status->st_gid))
		return (status->st_mode >> 3) & 7;
	return status->st_mode & 7;
}

/* 1 for a directory that this client can't, or not for certain, search. */
static int visit_closed(int directory, const struct stat *status, size_t length, void *data)
{
	const struct identity *client = data;

	(void)length;
	return !(class_bits(status, client) & 1) || pin_has_acl(directory) != 0;
}

/* Would the inode let the client open it for writing, once it can reach it? */
static bool inode_is_writable(int pin, const struct stat *status, const struct identity *client)
{
	/* The owner can chmod() through any fd. */
	if (client->uid == status->st_uid)
		return true;
	/* With an ACL the group bits are the most that anybody named in it has. */
	if (pin_has_acl(pin) != 0)
		return (status->st_mode & 022) != 0;
	return (class_bits(status, client) & 2) != 0;
}

/* An fd is a way to its inode around every directory: /proc/self/fd/N opens it anew, asking the inode's mode
 * alone. So a read grant is not safe where a directory is all that kept the client from writing. As above. */
static int is_unsafe(int pin, const struct stat *status, const struct identity *client, const char *real)
{
	int r;

	if (!inode_is_writable(pin, status, client))
		return 0;
	r = pin_walk(real, visit_closed, (void *)(uintptr_t)client);
	return is_shortage(r) ? r : r != 0;
}

static enum opener_result examine_way(const struct grant *grant, const struct identity *client, int pin,
				      const struct stat *status, struct opened *opened)
{
	char real[PATH_MAX];
	int r = pin_real_path(pin, real, sizeof(real));

	if (r < 0)
		return opened_fail(opened, "its path can't be told", r);

	r = status->st_nlink > 1 ? way_is_shared(grant, real) : 0;
	if (r > 0)
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "it has %lu hard links, and others than root "
				     "can write a directory on the way to it", (unsigned long)status->st_nlink);
	if (r == 0 && grant->access == GRANT_READ && !grant->copy)
		r = is_unsafe(pin, status, client, real);
	if (r > 0)
		return opened_refuse(opened, OPENER_UNSAFE_MODE, "by its mode the client could open the descriptor "
				     "anew for writing");
	return r < 0 ? opened_fail(opened, "its directories can't be examined", r) : OPENER_OK;
}

enum opener_result examine(const struct grant *grant, const struct identity *client, int pin,
			   struct opened *opened)
{
	struct stat status;
	int r;

	if (fstat(pin, &status) < 0)
		return opened_fail(opened, "it can't be examined", -errno);
	opened->found = true;
	opened->device = status.st_dev;
	opened->inode = status.st_ino;

	if (!type_fits(grant->type, status.st_mode))
		return opened_refuse(opened, OPENER_WRONG_TYPE, "it is %s", type_name(status.st_mode));
	r = pin_is_kernel_control(pin);
	if (r < 0)
		return opened_fail(opened, "its file system can't be examined", r);
	if (r > 0)
		return opened_refuse(opened, OPENER_WRONG_TYPE, "it is on a file system of kernel controls");
	if (status.st_nlink == 0)
		return opened_refuse(opened, OPENER_FILE_MISSING, "it was just removed");

	return examine_way(grant, client, pin, &status, opened);
}

enum opener_result examine_parent(int directory, struct opened *opened)
{
	int r = pin_is_kernel_control(directory);

	if (r < 0)
		return opened_fail(opened, "its file system can't be examined", r);
	if (r > 0)
		return opened_refuse(opened, OPENER_WRONG_TYPE, "it is on a file system of kernel controls");
	return OPENER_OK;
}
