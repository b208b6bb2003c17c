/* SPDX-License-Identifier: MIT
 *
 * Where one request looks for files.
 */
#include "opener/opening/places.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "kernel/host.h"
#include "kernel/pin.h"
#include "opener/opening/way.h"

void places_init(struct places *places, struct known_places *known)
{
	places->known = known;
	places->next = 0;
	fdset_init(&places->pins);
	for (size_t i = 0; i < ELEMENTSOF(places->places); i++)
		places->places[i].fd = -EBADF;
}

static void place_drop(struct place *place)
{
	fd_close(TAKE_FD(place->fd));
}

void places_clear(struct places *places)
{
	for (size_t i = 0; i < ELEMENTSOF(places->places); i++)
		place_drop(&places->places[i]);
	places->next = 0;
	fdset_clear(&places->pins);
}

static struct place *find(struct places *places, const char *path, size_t length)
{
	for (size_t i = 0; i < ELEMENTSOF(places->places); i++) {
		struct place *place = &places->places[i];

		if (place->fd >= 0 && place->length == length && memcmp(place->path, path, length) == 0)
			return place;
	}
	return NULL;
}

/* As of pin_has_plain_modes(). */
static int has_plain_modes(int fd, const struct statx *status, struct known_places *known)
{
	bool unique = status->stx_mask & STATX_MNT_ID_UNIQUE;
	int r;

	if (unique && status->stx_mnt_id == known->plain)
		return 1;
	r = pin_has_plain_modes(fd);
	if (r > 0 && unique)
		known->plain = status->stx_mnt_id;
	return r;
}

/* One for each path, so that what it led to before is forgotten. */
static struct known_place *find_slot(struct known_places *known, const char *path, size_t length)
{
	size_t number = 0;

	for (size_t i = 0; i < length; i++)
		number = number * 31 + (unsigned char)path[i];
	return &known->places[number % ELEMENTSOF(known->places)];
}

/* What is to be remembered of a directory; false: it can't be told from others. */
static bool describe(const char *path, size_t length, const struct statx *status, struct known_place *ret)
{
	if (!(status->stx_mask & STATX_BTIME) || length >= sizeof(ret->path))
		return false;
	/* All of it is compared. */
	memset(ret, 0, sizeof(*ret));
	ret->device = makedev(status->stx_dev_major, status->stx_dev_minor);
	ret->inode = status->stx_ino;
	ret->born_sec = status->stx_btime.tv_sec;
	ret->born_nsec = status->stx_btime.tv_nsec;
	memcpy(ret->path, path, length);
	return true;
}

/* Is this directory, to which the beginning of the path leads, there by root's choice alone? 1, 0 or -errno. */
static int is_put_by_root(const char *path, size_t length, const struct statx *status, struct known_places *known)
{
	struct known_place *entry = find_slot(known, path, length), now;
	bool can_be_known = describe(path, length, status, &now);
	struct way way;
	int r;

	if (can_be_known && memcmp(entry, &now, sizeof(now)) == 0)
		return 1;
	r = way_look(path, NULL, &way);
	if (r < 0)
		return r;
	/* It may have been exchanged since it was opened. */
	if (way.choice != WAY_OF_ROOT || way.inode != status->stx_ino ||
	    way.device != makedev(status->stx_dev_major, status->stx_dev_minor))
		return 0;
	if (can_be_known)
		memcpy(entry, &now, sizeof(now));
	return 1;
}

/* Opens the directory of the path, if it is guarded: 1; 0: it is not; or -errno. */
static int place_open(struct place *place, const char *path, size_t length, struct known_places *known)
{
	char parent[PATH_MAX];
	struct statx status;
	int r;

	if (length >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, path, length);
	parent[length] = '\0';
	place->fd = host_pin(length > 0 ? parent : "/", O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (place->fd < 0)
		return place->fd;

	/* An access control list that lets somebody write shows in the group bits, which are its mask. */
	if (statx(place->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID_UNIQUE,
		  &status) < 0)
		r = -errno;
	else if (status.stx_uid != 0 || (status.stx_mode & 022) != 0)
		r = 0;
	else
		r = has_plain_modes(place->fd, &status, known);
	if (r > 0)
		r = is_put_by_root(path, length, &status, known);
	if (r <= 0) {
		place_drop(place);
		return r;
	}
	place->path = path;
	place->length = length;
	place->device = makedev(status.stx_dev_major, status.stx_dev_minor);
	place->fresh = true;
	place->open_to_root = false;
	return 1;
}

/* The guarded directory of that path, NULL if it can't be used as such. */
static struct place *find_or_open(struct places *places, const char *path, size_t length)
{
	struct place *place = find(places, path, length);

	if (place) {
		place->fresh = false;
		return place;
	}
	place = &places->places[places->next++ % ELEMENTSOF(places->places)];
	place_drop(place);
	return place_open(place, path, length, places->known) > 0 ? place : NULL;
}

int places_pin(struct places *places, const struct grant *grant, struct place **ret_place)
{
	const char *name = strrchr(grant->path, '/');
	struct place *place = NULL;
	int fd;

	*ret_place = NULL;
	if (!grant->within && name && name[1] != '\0')
		place = find_or_open(places, grant->path, (size_t)(name - grant->path));
	/* What is not guarded is asked for in one step, and whatever is wrong is told by it. */
	if (!place)
		return pin_open(grant->path, grant->within);

	/* Not across a mount: what is mounted here has its name, and may have its other links, elsewhere. */
	fd = host_pin_at(place->fd, name + 1, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (fd >= 0) {
		*ret_place = place;
		return fd;
	}
	/* The directory itself may have been exchanged since it was opened. */
	if (fd == -ENOENT && !place->fresh) {
		place_drop(place);
		return places_pin(places, grant, ret_place);
	}
	return fd == -EXDEV ? pin_open(grant->path, NULL) : fd;
}

/* One of the directories on the way. On another file system the mode may not say all. */
static bool root_may_search(const struct place *place, const char *directory)
{
	struct stat status;

	return host_status(directory, &status) >= 0 && S_ISDIR(status.st_mode) && status.st_uid == 0 &&
	       (status.st_mode & S_IXUSR) && status.st_dev == place->device &&
	       host_has_attribute(directory, "system.posix_acl_access") == 0;
}

bool place_is_open_to_root(struct place *place)
{
	char way[PATH_MAX];
	size_t length = place->length;

	if (place->open_to_root)
		return true;
	memcpy(way, place->path, length);
	do {
		way[length] = '\0';
		if (!root_may_search(place, length > 0 ? way : "/"))
			return false;
		while (length > 0 && way[--length] != '/')
			;
	} while (way[0] != '\0');
	place->open_to_root = true;
	return true;
}
