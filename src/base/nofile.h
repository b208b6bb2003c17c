/* SPDX-License-Identifier: MIT
 *
 * How many descriptors this process may have.
 */
#pragma once

#include <stddef.h>

/* The soft RLIMIT_NOFILE; 0 if the kernel does not tell it. */
size_t nofile_limit(void);
