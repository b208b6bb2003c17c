/* SPDX-License-Identifier: MIT
 *
 * Time, and what is told once in a while only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t clock_now_usec(void);

/* Something that comes again and again as long as its cause stays, and must not fill the journal. All zero at
 * first. */
struct complaint {
	uint64_t told_usec;
};

/* Is it time to tell it, for the first time or after 10 seconds? Then it counts as told. */
bool complaint_is_due(struct complaint *complaint);
