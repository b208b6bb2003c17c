/* SPDX-License-Identifier: MIT
 *
 * Writing to the end.
 */
#pragma once

#include <stddef.h>

/* Writes all of it to an fd of whatever kind, and waits where one that does not block has no room. 0 or -errno; how much was
 * written before an error is not told. */
int write_all(int fd, const void *data, size_t size);
