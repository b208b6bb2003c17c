/* SPDX-License-Identifier: MIT
 *
 * The directory that a run has for itself: sockets, files to be opened, and the configuration of the programs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bench/place.h"

/* How many files there are to open. */
#define WORLD_FILES 64
#define WORLD_FILE_CONTENT 24

struct world {
	char directory[64];
	const char *porterd, *opener, *empty; /* programs */
	struct places places;
	unsigned n_sockets; /* made so far, for their names */
};

/* Makes the directory, its files and the policy that lets this user open them. */
int world_open(struct world *world);
void world_close(struct world *world);

/* What to do about one of the programs that can't be run. */
const char *world_remedy(const struct world *world, const char *program);

/* A path in the directory. */
void world_path(const struct world *world, const char *name, char *buffer, size_t size);

/* What the file of this number holds. */
void world_file_content(unsigned number, char content[static WORLD_FILE_CONTENT + 1]);

/* Writes porterd.conf into a directory of its own. */
int world_write_config(const struct world *world, const char *text);

/* A new listening or datagram socket; its address comes back in `path`. */
int world_listen(struct world *world, int type, char *path, size_t size);
