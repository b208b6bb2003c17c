/* SPDX-License-Identifier: MIT
 *
 * Medians and quantiles. No side effects.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Each power of two has so many buckets, so a quantile is at most 1/64 too large. */
#define HISTOGRAM_BUCKETS_EACH 64
/* Up to 2^40 ns, some 18 minutes. What takes longer counts as that. */
#define HISTOGRAM_POWERS 35

/* How often each duration occurred. All zero is empty. */
struct histogram {
	uint64_t total;
	uint32_t counts[(HISTOGRAM_POWERS + 1) * HISTOGRAM_BUCKETS_EACH];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* A value that `quantile` (0 to 1) of all added ones do not exceed; 0 if there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

/* The median of `count` values, which are sorted by this; for an even count the mean of the two in the middle.
 * 0 if there are none. */
double statistics_median(double *values, size_t count);
