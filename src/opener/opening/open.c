/* SPDX-License-Identifier: MIT
 *
 * Opening what a grant names.
 */
#include "opener/opening/open.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "kernel/memfd.h"
#include "kernel/pin.h"
#include "opener/opening/examine.h"

static int access_flags(enum grant_access access)
{
	static const int flags[] = {
		[GRANT_READ] = O_RDONLY,
		[GRANT_WRITE] = O_WRONLY,
		[GRANT_READ_WRITE] = O_RDWR,
		[GRANT_APPEND] = O_WRONLY | O_APPEND,
	};

	return flags[access];
}

/* Non-blocking was for the opening alone. The receiver gets what a plain open() gives: for files it makes no
 * difference, of a terminal or another device nobody expects EAGAIN. O_APPEND is all else that can be set here. */
static int make_blocking(int fd, bool append)
{
	return fcntl(fd, F_SETFL, append ? O_APPEND : 0) < 0 ? -errno : 0;
}

static enum opener_result open_pinned(const struct grant *grant, int pin, struct opened *opened)
{
	_cleanup_close_ int fd = pin_reopen(pin, access_flags(grant->access) | O_NOCTTY | O_NONBLOCK);
	int r = fd < 0 ? fd : make_blocking(fd, grant->access == GRANT_APPEND);

	/* ENXIO and ENODEV: a device node without its device. */
	if (r == -ENXIO || r == -ENODEV)
		return opened_refuse(opened, OPENER_FILE_MISSING, "the device is not there");
	if (r < 0)
		return opened_fail(opened, "it can't be opened", r);
	opened->fd = TAKE_FD(fd);
	return OPENER_OK;
}

static enum opener_result deliver_copy(const struct grant *grant, const struct identity *client, int pin,
				       struct opened *opened)
{
	_cleanup_close_ int from = pin_reopen(pin, O_RDONLY | O_NOCTTY | O_NONBLOCK), memory = -EBADF;
	ssize_t size;
	int fd, r;

	if (from < 0)
		return opened_fail(opened, "it can't be opened", from);
	memory = memfd_new(grant->name);
	if (memory < 0)
		return opened_fail(opened, "its copy can't be made", memory);
	size = memfd_fill(memory, from, OPEN_COPY_MAX);
	if (size < 0)
		return opened_fail(opened, "it can't be copied", (int)size);
	if ((size_t)size > OPEN_COPY_MAX)
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "it is larger than the %zu bytes that "
				     "Deliver=copy may have", OPEN_COPY_MAX);
	r = memfd_restrict(memory, client->uid);
	if (r == 0)
		r = memfd_seal(memory);
	if (r < 0)
		return opened_fail(opened, "its copy can't be sealed", r);

	/* Read-only as granted, and at its beginning. */
	fd = pin_reopen(memory, O_RDONLY);
	if (fd < 0)
		return opened_fail(opened, "its copy can't be opened", fd);
	opened->fd = fd;
	opened->copied = (size_t)size;
	return OPENER_OK;
}

enum opener_result open_copy_again(const struct opened *first, struct opened *opened)
{
	int fd = pin_reopen(first->fd, O_RDONLY);

	*opened = *first;
	opened->fd = fd;
	opened->copied = 0;
	return fd < 0 ? opened_fail(opened, "its copy can't be opened", fd) : OPENER_OK;
}

/* connect() goes by path; the one through /proc leads to the pinned socket, whatever its own path is now. */
static enum opener_result connect_pinned(int pin, struct opened *opened)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r = -EPROTOTYPE;

	_Static_assert(sizeof(address.sun_path) >= PIN_PROC_PATH_SIZE, "the path fits");
	pin_proc_path(pin, address.sun_path);

	for (size_t i = 0; r == -EPROTOTYPE && i < ELEMENTSOF(types); i++) {
		_cleanup_close_ int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
			r = -errno;
		else
			r = make_blocking(fd, false);
		if (r >= 0) {
			opened->fd = TAKE_FD(fd);
			return OPENER_OK;
		}
	}

	if (r == -ECONNREFUSED)
		return opened_refuse(opened, OPENER_FILE_MISSING, "nobody listens on the socket");
	return opened_fail(opened, "it can't be connected to", r);
}

static enum opener_result deliver(const struct grant *grant, const struct identity *client, int pin,
				  struct opened *opened)
{
	if (grant->type == GRANT_SOCKET)
		return connect_pinned(pin, opened);
	if (grant->copy)
		return deliver_copy(grant, client, pin, opened);
	return open_pinned(grant, pin, opened);
}

/* Mode= whatever the umask. The group is the opener's, or the directory's if that is set-group-ID, as for any file
 * that is made there; changing it would take another capability. */
static int adopt_created(const struct grant *grant, int fd, struct stat *ret)
{
	if (fchmod(fd, grant->mode) < 0 || fstat(fd, ret) < 0)
		return -errno;
	return 0;
}

/* OPENER_OK with an fd or, for a check, without one. *race is true if somebody else made the file first, or a link that
 * leads nowhere is in its place: to be looked for once more. */
static enum opener_result create(const struct grant *grant, bool check, bool *race, struct opened *opened)
{
	_cleanup_close_ int parent = -EBADF, fd = -EBADF;
	const char *name;
	struct stat status;
	int r;

	*race = false;
	parent = pin_open_parent(grant->path, grant->within, &name);
	if (parent < 0)
		return opened_fail(opened, "its directory can't be examined", parent);
	if (examine_parent(parent, opened) != OPENER_OK || check)
		return opened->result;

	fd = openat(parent, name,
		    access_flags(grant->access) | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST) {
		*race = true;
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "a symbolic link that leads nowhere is in its "
				     "place");
	}
	if (fd < 0)
		return opened_fail(opened, "it can't be made", -errno);
	/* Mode 0600 left nothing of a list that it may have got after all; Mode= would bring it to life. */
	if (pin_has_acl(fd) != 0) {
		(void)unlinkat(parent, name, 0);
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "it got an access control list from its directory");
	}
	r = adopt_created(grant, fd, &status);
	if (r < 0) {
		(void)unlinkat(parent, name, 0);
		return opened_fail(opened, "it can't be made", r);
	}

	opened->found = true;
	opened->device = status.st_dev;
	opened->inode = status.st_ino;
	opened->fd = TAKE_FD(fd);
	return OPENER_OK;
}

/* How often what was found is looked for anew, when it changed meanwhile. */
#define TRIES 8

static enum opener_result open_or_check(const struct grant *grant, const struct identity *client, bool check,
					struct places *places, struct opened *opened)
{
	bool race = false;

	/* Again, where somebody else makes the file between looking for it and making it, or puts another in its place,
	 * as who renews a key does, between pinning it and looking at it. */
	for (int tries = 0; tries < TRIES; tries++) {
		struct place *place;
		_cleanup_close_ int pin = places_pin(places, grant, &place);

		opened_init(opened);
		if (pin == -ENOENT && grant->create) {
			if (create(grant, check, &race, opened) == OPENER_OK || !race)
				return opened->result;
			continue;
		}
		if (pin < 0)
			return opened_fail(opened, "it can't be reached", pin);
		if (examine(grant, client, pin, place, opened) == OPENER_FILE_MISSING)
			continue;
		if (opened->result != OPENER_OK || check)
			return opened->result;
		/* What is open anyway may stay pinned as long; nobody waits for that to be closed. */
		if (deliver(grant, client, pin, opened) == OPENER_OK && !grant->copy)
			(void)fdset_add(&places->pins, TAKE_FD(pin));
		return opened->result;
	}
	return opened->result;
}

enum opener_result open_grant(const struct grant *grant, const struct identity *client, struct places *places,
			      struct opened *opened)
{
	return open_or_check(grant, client, false, places, opened);
}

enum opener_result open_check(const struct grant *grant, const struct identity *client, struct places *places,
			      struct opened *opened)
{
	return open_or_check(grant, client, true, places, opened);
}
