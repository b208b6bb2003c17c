/* SPDX-License-Identifier: MIT
 *
 * The ID by which the kernel tells this process from every other one since boot.
 */
#pragma once

#include <stdint.h>

/* The inode number of this process's pidfds. They have one each since Linux 6.9. -EOPNOTSUPP: not here; or another
 * -errno. */
int pidfd_own_id(uint64_t *ret);
