/* SPDX-License-Identifier: MIT
 *
 * Is a pinned file what its grant means, and would opening it give away more than the grant says?
 */
#pragma once

#include "opener/opening/opened.h"
#include "opener/opening/places.h"

/* Looks at the pinned file (an O_PATH fd) of a grant for this client; `place` as of places_pin(). OPENER_OK or the
 * refusal. */
enum opener_result examine(const struct grant *grant, const struct identity *client, int pin, struct place *place,
			   struct opened *opened);

/* Is the directory, in which a file is to be made, on a file system for that, and will the file be as Mode=
 * says? */
enum opener_result examine_parent(int directory, struct opened *opened);
