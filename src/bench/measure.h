/* SPDX-License-Identifier: MIT
 *
 * What is measured, and by which clocks.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "bench/statistics.h"

#define NSEC_PER_SEC UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)

static inline uint64_t clock_nsec(clockid_t clock)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_nsec(void)
{
	return clock_nsec(CLOCK_MONOTONIC);
}

/* What one side did in one round. Sums, so that pieces can be added up. */
struct sample {
	uint64_t operations; /* messages, calls, connections or files: as the case says */
	uint64_t bytes;	     /* of content, counted once on its way there and back */
	uint64_t nsec;
	uint64_t server_nsec; /* CPU time of the server's processes */
	struct histogram *latencies; /* in nanoseconds, one for each operation; not owned */
};
