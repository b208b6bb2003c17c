/* SPDX-License-Identifier: MIT
 *
 * Time.
 */
#include "base/clock.h"

#include <time.h>

#define COMPLAINT_USEC (10 * USEC_PER_SEC)

_Static_assert(sizeof(time_t) == 8, "files dated after 2038 can be looked at");

uint64_t clock_now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

bool complaint_is_due(struct complaint *complaint)
{
	uint64_t now = clock_now_usec();

	if (complaint->told_usec != 0 && now - complaint->told_usec < COMPLAINT_USEC)
		return false;
	complaint->told_usec = now;
	return true;
}
