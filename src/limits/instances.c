/* SPDX-License-Identifier: MIT
 *
 * How many clients of one user have a process of their own.
 */
#include "limits/instances.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/macro.h"
#include "base/number.h"
#include "kernel/process_unit.h"

bool instance_parse(struct instance *ret, const char *unit)
{
	const char *at = strchr(unit, '@'), *end = strrchr(unit, '.'), *first, *last;
	uint32_t uid;

	if (!at || !end || strcmp(end, ".service") != 0)
		return false;
	first = memchr(at, '-', (size_t)(end - at));
	last = memrchr(at, '-', (size_t)(end - at));
	if (!first || first == last)
		return false;
	if (number_parse(at + 1, (size_t)(first - at - 1), UINT64_MAX, &ret->number) < 0 ||
	    number_parse_id(last + 1, (size_t)(end - last - 1), &uid) < 0)
		return false;
	ret->name = unit;
	ret->name_length = (size_t)(at - unit);
	ret->uid = uid;
	return true;
}

static bool is_earlier(const struct instance *instance, const char *unit)
{
	struct instance other;

	return instance_parse(&other, unit) && other.uid == instance->uid && other.number < instance->number &&
	       other.name_length == instance->name_length && memcmp(other.name, instance->name, other.name_length) == 0;
}

int instance_count_earlier(const struct instance *instance, int slice_fd, size_t *ret)
{
	int fd = openat(slice_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd); /* consumes fd */
	const struct dirent *entry;
	int r;

	if (!directory) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	*ret = 0;
	for (;;) {
		errno = 0;
		entry = readdir(directory);
		if (!entry)
			break;
		*ret += is_earlier(instance, entry->d_name);
	}
	r = -errno;
	(void)closedir(directory);
	return r;
}

size_t instance_find_own(struct instance *ret, char **ret_unit)
{
	_cleanup_close_ int slice_fd = process_slice_open(ret_unit);
	size_t earlier = 0;

	if (slice_fd < 0 || !instance_parse(ret, *ret_unit) || ret->uid == 0)
		return 0;
	return instance_count_earlier(ret, slice_fd, &earlier) < 0 ? 0 : earlier;
}

bool instance_is_among(size_t count)
{
	_cleanup_free_ char *unit = NULL;
	struct instance instance = { 0 };

	return instance_find_own(&instance, &unit) < count;
}
