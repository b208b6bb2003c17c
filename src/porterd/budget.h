/* SPDX-License-Identifier: MIT
 *
 * What the limit of descriptors (LimitNOFILE=) leaves for whom.
 */
#pragma once

#include <stddef.h>

/* How many descriptors may be on their way to clients, in one of so many processes that serve the same sockets. */
size_t budget_descriptors(size_t n_processes);

/* How many workers there may be. */
size_t budget_workers(void);
