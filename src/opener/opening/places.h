/* SPDX-License-Identifier: MIT
 *
 * Where one request looks for files, and what it found: a directory is looked at once, and all is let go at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/fdset.h"
#include "kernel/identity.h"
#include "opener/policy/grant.h"

/* As many as are kept at a time, each with a descriptor. */
#define PLACES_MAX 8

/* A guarded directory: nobody but root can put anything into it, take anything out, or give it to others, and it is on
 * a file system of which that can be told. So what was found in it is what root has put there. */
struct place {
	int fd; /* O_PATH, owned; negative: unused */
	const char *path; /* the grant's */
	size_t length;	  /* of what leads to the directory */
	dev_t device;
	bool fresh; /* opened for the very file that is asked for */
	bool open_to_root; /* root as a client reaches it without a capability */
};

/* What outlives a request: the mount that was last seen to have plain modes. A mount keeps its file system, and its
 * number, since Linux 6.8, is never another's: it need not be looked at again. All zero at first. */
struct known_mount {
	uint64_t plain; /* 0: none */
};

struct places {
	struct place places[PLACES_MAX];
	struct known_mount *mount;
	size_t next; /* to be replaced */
	struct fdset pins; /* of files that are open by now; owned. To close all of them later is cheaper */
};

/* The mount is the caller's, and must live as long. */
void places_init(struct places *places, struct known_mount *mount);
void places_clear(struct places *places);

/* Pins what a grant names, as pin_open() does. Where it lies in a guarded directory, *ret_place is that, until this
 * is called again, otherwise NULL. Grants and their paths must live as long as the places. */
int places_pin(struct places *places, const struct grant *grant, struct place **ret_place);

/* Could root as a client search each directory that leads to this one, and it itself, without a capability? False,
 * too, where it takes more than a look at their modes to tell. */
bool place_is_open_to_root(struct place *place);
