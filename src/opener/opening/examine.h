/* SPDX-License-Identifier: MIT
 *
 * Is a pinned file what its grant means, and would opening it give away more than the grant says?
 */
#pragma once

#include "opener/opening/open.h"

/* Notes the result and why, as in printf(3); returns the result. */
enum opener_result opened_refuse(struct opened *opened, enum opener_result result, const char *format, ...)
	_printf_(3, 4);

/* The same for a system call that failed with -errno. */
enum opener_result opened_fail(struct opened *opened, const char *what, int error);

/* Looks at the pinned file (an O_PATH fd) of a grant for this client; `place` as of places_pin(). OPENER_OK or the
 * refusal. */
enum opener_result examine(const struct grant *grant, const struct identity *client, int pin, struct place *place,
			   struct opened *opened);

/* Is the directory, in which a file is to be made, on a file system for that, and will the file be as Mode=
 * says? */
enum opener_result examine_parent(int directory, struct opened *opened);
