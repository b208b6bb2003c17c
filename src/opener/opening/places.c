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

void places_init(struct places *places, struct known_mount *mount)
{
	places->mount = mount;
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
static int has_plain_modes(int fd, const struct statx *status, struct known_mount *mount)
{
	bool unique = status->stx_mask & STATX_MNT_ID_UNIQUE;
	int r;

	if (unique && status->stx_mnt_id == mount->plain)
		return 1;
	r = pin_has_plain_modes(fd);
	if (r > 0 && unique)
		mount->plain = status->stx_mnt_id;
	return r;
}

/* Opens the directory, if it is guarded: 1; 0: it is not; or -errno. */
static int place_open(struct place *place, const char *path, size_t length, struct known_mount *mount)
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
	if (statx(place->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID_UNIQUE, &status) < 0)
		r = -errno;
	else if (status.stx_uid != 0 || (status.stx_mode & 022) != 0)
		r = 0;
	else
		r = has_plain_modes(place->fd, &status, mount);
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
	return place_open(place, path, length, places->mount) > 0 ? place : NULL;
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
