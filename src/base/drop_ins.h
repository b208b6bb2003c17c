/* SPDX-License-Identifier: MIT
 *
 * The drop-ins of a layered configuration, as the UAPI.6 specification orders them: those of all directories by their
 * names, where one in a later directory replaces its namesake.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct drop_in {
	char *name;	  /* owned */
	size_t directory; /* the index of the last one that has it */
};

/* All zero is empty. */
struct drop_ins {
	struct drop_in *items;
	size_t count, room;
};

/* Adds those of a directory (NAME.conf, and no hidden ones), after those of earlier ones. -E2BIG: there are more than
 * `max`; or why it can't be read. Some may have been added then. */
int drop_ins_add(struct drop_ins *list, int fd /* consumes fd */, size_t directory, size_t max);

/* Brings all into the order in which they are read. */
void drop_ins_sort(struct drop_ins *list);

void drop_ins_clear(struct drop_ins *list);
