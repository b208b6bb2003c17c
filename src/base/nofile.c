/* SPDX-License-Identifier: MIT
 *
 * How many descriptors this process may have.
 */
#include "base/nofile.h"

#include <sys/resource.h>

size_t nofile_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : limit.rlim_cur;
}
