/* SPDX-License-Identifier: MIT
 *
 * The drop-ins of a layered configuration.
 */
#include "base/drop_ins.h"

#include "base/macro.h"

#define SUFFIX ".conf"

bool drop_in_is_name(const char *name)
{
	size_t length = strlen(name), suffix = strlen(SUFFIX);

	return name[0] != '.' && length > suffix && strcmp(name + length - suffix, SUFFIX) == 0;
}

int drop_ins_add(struct drop_ins *list, const char *name, size_t directory, size_t max)
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
