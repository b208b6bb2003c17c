/* SPDX-License-Identifier: MIT
 *
 * Who could write to a file by its inode alone, as whoever has a descriptor of it opens it anew.
 */
#pragma once

#include <sys/stat.h>

#include "kernel/identity.h"
#include "opener/opening/places.h"

/* Why the client, or what it could become meanwhile, could write to the pinned file whatever is above it: a clause of
 * its own. NULL: it could not. Where in doubt, it could. */
const char *writers_include(const struct identity *client, int pin, const struct place *place,
			    const struct stat *status);
