/* SPDX-License-Identifier: MIT
 *
 * Is a pinned file what its grant means, and would opening it give away more than the grant says?
 */
#include "opener/opening/examine.h"

#include <limits.h>

#include "kernel/pin.h"

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

/* Could anybody but root have put the file where it is? 1, 0, or -errno of a shortage; what can't be told
 * otherwise, they could. */
static int way_is_shared(const struct grant *grant, const char *real)
{
	/* Below Within= the configured path may have links, at which the walk ends with an error. The links
	 * themselves can be as old as their directories, so the real path alone would not do. */
	int r = pin_walk(grant->path, visit_shared, NULL);

	if (r == 0 && strcmp(grant->path, real) != 0)
		r = pin_walk(real, visit_shared, NULL);
	return error_is_shortage(r) ? r : r != 0;
}

/* Could the client write to the inode itself, whatever is above it? Where in doubt, yes. */
static bool inode_is_writable(int pin, const struct place *place, const struct stat *status,
			      const struct identity *client)
{
	mode_t writable = status->st_mode & 022;
	int acl;

	/* The owner can chmod() through any fd. */
	if (client->uid == status->st_uid)
		return true;
	/* A list can't give more than these bits, its mask. Elsewhere there may be lists of another kind. */
	if (place && !writable)
		return false;
	acl = pin_has_acl(pin);
	if (acl == PIN_ACL_POSIX)
		return writable != 0;
	if (acl != PIN_ACL_NONE)
		return true;
	/* A member of the group whom it alone keeps out can leave it, or pass the fd on. */
	if (writable & 002)
		return true;
	return writable && (!client->has_groups || status->st_gid == IDENTITY_GID_NOBODY ||
			    identity_in_group(client, status->st_gid));
}

/* 1 for a directory that root as a client can't, or not for certain, search without a capability. */
static int visit_closed_to_root(int directory, const struct stat *status, size_t length, void *data)
{
	const struct identity *client = data;
	mode_t bits = status->st_mode;

	(void)length;
	if (status->st_uid == 0)
		bits >>= 6;
	else if (identity_in_group(client, status->st_gid))
		bits >>= 3;
	return !(bits & 1) || pin_has_acl(directory) != 0;
}

/* An fd is a way to its inode around every directory and every mount: /proc/self/fd/N opens it anew for
 * writing, asking the inode's mode and the mount that the fd came from, which is the opener's. That the client
 * could write to the file by its path, too, is no excuse: its own mounts may be read-only (ReadOnlyPaths=), or
 * not have the file at all. Nearly every file would be refused to root, whom modes do not stop anyway, so for
 * root alone a path without closed directories is one. porterd-files.conf(5) says so. */
static int is_unsafe(const struct grant *grant, int pin, struct place *place, const struct stat *status,
		     const struct identity *client, const char *real)
{
	int r;

	if (!inode_is_writable(pin, place, status, client))
		return 0;
	if (client->uid != 0)
		return 1;
	if (place && place_is_open_to_root(place))
		return 0;
	r = pin_walk(real ? real : grant->path, visit_closed_to_root, (void *)(uintptr_t)client);
	return error_is_shortage(r) ? r : r != 0;
}

/* The name by which it was pinned, which was one of the links that were counted. Otherwise somebody could link another
 * file here, and take the link back just before the count, which then says one. -ENOENT: it is gone, or moved. */
static int pinned_name(int pin, char real[static PATH_MAX])
{
	char settled[PATH_MAX];
	int r = pin_real_path(pin, real, PATH_MAX);

	if (r < 0)
		return r;
	/* A removal that was counted already may be under way. A server of files may not let root read directories. */
	r = pin_settle(real);
	if (r < 0 && r != -EACCES && r != -EPERM)
		return r;
	r = pin_real_path(pin, settled, sizeof(settled));
	if (r < 0)
		return r;
	return strcmp(settled, real) == 0 ? 0 : -ENOENT;
}

static enum opener_result examine_way(const struct grant *grant, const struct identity *client, int pin,
				      struct place *place, const struct stat *status, struct opened *opened)
{
	char path[PATH_MAX], *real = NULL;
	int r = 0;

	/* In a guarded directory only root links and unlinks, and below its path there are no symbolic links: there the
	 * file has the name that it was found by, or is gone. */
	if (!place || status->st_nlink != 1) {
		r = pinned_name(pin, path);
		real = path;
	}
	if (r < 0)
		return opened_fail(opened, "its path can't be told", r);

	r = status->st_nlink > 1 ? way_is_shared(grant, path) : 0;
	if (r > 0)
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "it has %lu hard links, and others than root "
				     "can write a directory on the way to it", (unsigned long)status->st_nlink);
	if (r == 0 && grant->access == GRANT_READ && !grant->copy)
		r = is_unsafe(grant, pin, place, status, client, real);
	if (r > 0)
		return opened_refuse(opened, OPENER_UNSAFE_MODE, "by its mode or owner the client could open the "
				     "descriptor anew for writing; Deliver=copy gives a copy");
	return r < 0 ? opened_fail(opened, "its directories can't be examined", r) : OPENER_OK;
}

enum opener_result examine(const struct grant *grant, const struct identity *client, int pin, struct place *place,
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
	/* A guarded directory is on none of those. */
	r = place ? 0 : pin_is_kernel_control(pin);
	if (r < 0)
		return opened_fail(opened, "its file system can't be examined", r);
	if (r > 0)
		return opened_refuse(opened, OPENER_WRONG_TYPE, "it is on a file system of kernel controls");
	if (status.st_nlink == 0)
		return opened_refuse(opened, OPENER_FILE_MISSING, "it was just removed");

	return examine_way(grant, client, pin, place, &status, opened);
}

enum opener_result examine_parent(int directory, struct opened *opened)
{
	int r = pin_is_kernel_control(directory);

	if (r < 0)
		return opened_fail(opened, "its file system can't be examined", r);
	if (r > 0)
		return opened_refuse(opened, OPENER_WRONG_TYPE, "it is on a file system of kernel controls");
	if (pin_has_default_acl(directory) != 0)
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "its directory has a default access control list, "
				     "which would let others than Mode= says have it");
	return OPENER_OK;
}
