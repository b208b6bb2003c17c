/* SPDX-License-Identifier: MIT
 *
 * Memory for libraries that do not look whether they were given any.
 */
#pragma once

#include <stddef.h>

/* Is there so much memory for what comes next? 0, or -ENOMEM. It is given back at once, and a process of one thread
 * finds it there again. */
int memory_reserve(size_t size);

/* What libeconf needs to read a text of so many bytes and lines, generously: each line is kept with its section's
 * name, in an array that doubles. */
#define MEMORY_FOR_ECONF(size, lines) ((size_t)65536 + 16 * (size_t)(size) + 512 * (size_t)(lines))

/* What the C library needs to look up a user or group, generously: its modules' state, and a line of a file. */
#define MEMORY_FOR_LOOK_UP ((size_t)1 << 18)
