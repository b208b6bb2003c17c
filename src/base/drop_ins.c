/* SPDX-License-Identifier: MIT
 *
 * The drop-ins of a layered configuration.
 */
#include "base/drop_ins.h"

#include <dirent.h>

#include "base/macro.h"

#define SUFFIX ".conf"

static bool is_drop_in(const char *name)
{
	size_t length = strlen(name), suffix = strlen(SUFFIX);

	return name[0] != '.' && length > suffix && strcmp(name + length - suffix, SUFFIX) == 0;
}

static int add(struct drop_ins *list, const char *name, size_t directory, size_t max)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].name, name) == 0) {
			list->items[i].directory = directory;
			return 0;
		}

	if (list->count >= max)
		return -E2BIG;
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct drop_in *items = reallocarray(list->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	list->items[list->count].name = strdup(name);
	if (!list->items[list->count].name)
		return -ENOMEM;
	list->items[list->count++].directory = directory;
	return 0;
}

int drop_ins_add(struct drop_ins *list, int fd, size_t directory, size_t max)
{
	DIR *stream = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!stream) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	for (errno = 0; r >= 0 && (entry = readdir(stream)); errno = 0)
		if (is_drop_in(entry->d_name))
			r = add(list, entry->d_name, directory, max);
	if (r >= 0)
		r = -errno;
	(void)closedir(stream);
	return r;
}

static int compare_drop_ins(const void *a, const void *b)
{
	const struct drop_in *one = a, *other = b;

	return strcmp(one->name, other->name);
}

void drop_ins_sort(struct drop_ins *list)
{
	if (list->count > 0)
		qsort(list->items, list->count, sizeof(*list->items), compare_drop_ins);
}

void drop_ins_clear(struct drop_ins *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].name);
	free(list->items);
	*list = (struct drop_ins){ 0 };
}
