/* SPDX-License-Identifier: MIT
 *
 * How many descriptors this process may have.
 */
#include "base/nofile.h"

#include <stdint.h>
#include <sys/resource.h>

#include "base/macro.h"

size_t nofile_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : (size_t)MIN_OF(limit.rlim_cur, (rlim_t)SIZE_MAX);
}
