/* SPDX-License-Identifier: MIT
 *
 * What the limit of descriptors leaves for whom.
 */
#include "porterd/budget.h"

#include <sys/resource.h>

#include "base/macro.h"
#include "limits/unread.h"

/* So many workers there may be, however few descriptors. */
#define WORKERS_AT_ANY_LIMIT ((size_t)16)

/* 0: the kernel does not tell. */
static size_t descriptors_max(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : (size_t)limit.rlim_cur;
}

/* Of all that this process may hold, a part is for descriptors on their way to clients: if these do not take them,
 * the others are still accepted and served. */
size_t budget_descriptors(size_t n_processes)
{
	size_t max = descriptors_max(), quarter = max ? max / 4 : FDSET_MAX, part = quarter / n_processes;

	if (n_processes == 1)
		return quarter;
	/* What is under way counts for the user, whichever process has sent it. But one request must not take so much of a
	 * worker's part that others find nothing: so all together may come up to a half. */
	return MAX_OF(part, MIN_OF((size_t)UNREAD_LEAST, 2 * part));
}

/* With more, one request could ask for all that a worker may have under way. */
size_t budget_workers(void)
{
	return MAX_OF(WORKERS_AT_ANY_LIMIT, descriptors_max() / 2 / UNREAD_LEAST);
}
