/* SPDX-License-Identifier: MIT
 *
 * Is a pinned file what its grant means, and would opening it give away more than the grant says?
 */
#include "opener/opening/examine.h"

#include <limits.h>

#include "kernel/pin.h"
#include "opener/opening/way.h"
#include "opener/opening/writers.h"

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

static bool is_named_owner(const struct grant *grant, uid_t uid)
{
	for (size_t i = 0; i < grant->n_owners; i++)
		if (grant->owners[i] == uid)
			return true;
	return false;
}

/* Where others than root can put files, what they put there is whatever they can move there, and they would have it read
 * to them, or written to, whosever it is. So it has to be a file that only its owner could have chosen, who can do that
 * without us; or the client's; or of an owner whom the policy names, and then it is believed. */
static enum opener_result examine_choice(const struct grant *grant, const struct identity *client, uid_t owner,
					 nlink_t links, struct opened *opened)
{
	bool is_fine = owner == client->uid || is_named_owner(grant, owner);
	struct way way;
	int r;

	if (is_fine && links <= 1)
		return OPENER_OK;
	r = way_look(grant->path, grant->within, &way);
	if (error_is_shortage(r))
		return opened_fail(opened, "its directories can't be examined", r);
	/* What can't be told otherwise, anybody could have. */
	if (r < 0)
		way.choice = WAY_OF_MANY;
	if (way.choice == WAY_OF_ROOT)
		return OPENER_OK;
	if (links > 1)
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "it has %lu hard links, and others than root "
				     "can write a directory on the way to it", (unsigned long)links);
	if (is_fine || (way.choice == WAY_OF_ONE && way.uid == owner))
		return OPENER_OK;
	return opened_refuse(opened, OPENER_NOT_PERMITTED, "others than root can write a directory on the way to it, "
			     "so somebody may have moved it there; its owner, user %u, is neither the client nor in "
			     "Owner=", owner);
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
static enum opener_result examine_writers(const struct grant *grant, const struct identity *client, int pin,
					  struct place *place, const struct stat *status, const char *real,
					  struct opened *opened)
{
	const char *why = writers_include(client, pin, place, status);
	int r = 1;

	if (!why)
		return OPENER_OK;
	if (client->uid == 0)
		r = place && place_is_open_to_root(place)
			    ? 0
			    : pin_walk(real ? real : grant->path, visit_closed_to_root, (void *)(uintptr_t)client);
	if (error_is_shortage(r))
		return opened_fail(opened, "its directories can't be examined", r);
	if (r == 0)
		return OPENER_OK;
	return opened_refuse(opened, OPENER_UNSAFE_MODE, "%s, and could open the descriptor anew for writing; %s", why,
			     grant->type == GRANT_REGULAR ? "Deliver=copy gives a copy" :
							    "of a device Access=read-write can be granted");
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

	/* In a guarded directory only root links and unlinks, and on the way there are no symbolic links: there the file
	 * has the name that it was found by, or is gone. */
	if (!place) {
		r = pinned_name(pin, path);
		real = path;
	}
	if (r < 0)
		return opened_fail(opened, "its path can't be told", r);

	if (!place && examine_choice(grant, client, status->st_uid, status->st_nlink, opened) != OPENER_OK)
		return opened->result;
	if (grant->access == GRANT_READ && !grant->copy)
		return examine_writers(grant, client, pin, place, status, real, opened);
	return OPENER_OK;
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

enum opener_result examine_parent(const struct grant *grant, const struct identity *client, int directory,
				  struct opened *opened)
{
	int r = pin_is_kernel_control(directory);

	if (r < 0)
		return opened_fail(opened, "its file system can't be examined", r);
	if (r > 0)
		return opened_refuse(opened, OPENER_WRONG_TYPE, "it is on a file system of kernel controls");
	if (pin_has_default_acl(directory) != 0)
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "its directory has a default access control list, "
				     "which would let others than Mode= says have it");
	/* Otherwise it would be handed out this once and never again. */
	return examine_choice(grant, client, geteuid(), 0, opened);
}
