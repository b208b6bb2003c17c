/* SPDX-License-Identifier: MIT
 *
 * What the limit of descriptors leaves for whom.
 */
#include "porterd/budget.h"

#include "base/macro.h"
#include "base/nofile.h"
#include "limits/unread.h"

/* So many workers there may be, however few descriptors. */
#define WORKERS_AT_ANY_LIMIT ((size_t)16)

/* Of all that this process may hold, a part is for descriptors on their way to clients: if these do not take them,
 * the others are still accepted and served. */
size_t budget_descriptors(size_t n_processes)
{
	size_t max = nofile_limit(), quarter = max ? max / 4 : FDSET_MAX, part = quarter / n_processes;

	if (n_processes == 1)
		return quarter;
	/* What is under way counts for the user, whichever process has sent it. But one request must not take so much of a
	 * worker's part that others find nothing: so all together may come up to a half. */
	return MAX_OF(part, MIN_OF((size_t)UNREAD_LEAST, 2 * part));
}

/* With more, one request could ask for all that a worker may have under way. */
size_t budget_workers(void)
{
	return MAX_OF(WORKERS_AT_ANY_LIMIT, nofile_limit() / 2 / UNREAD_LEAST);
}
