/* SPDX-License-Identifier: MIT
 *
 * Medians and quantiles.
 */
#include "bench/statistics.h"

#include "base/macro.h"

/* Values below 64 have a bucket each. Above, the six bits that follow the highest one choose among the 64 of its
 * power. */
static size_t bucket_of(uint64_t value)
{
	unsigned power = 0;
	size_t bucket;

	if (value < HISTOGRAM_BUCKETS_EACH)
		return (size_t)value;
	power = 63U - (unsigned)__builtin_clzll(value) - 6U;
	bucket = (size_t)(power + 1) * HISTOGRAM_BUCKETS_EACH + (size_t)((value >> power) - HISTOGRAM_BUCKETS_EACH);
	return MIN_OF(bucket, (size_t)((HISTOGRAM_POWERS + 1) * HISTOGRAM_BUCKETS_EACH - 1));
}

/* The largest value of a bucket. */
static uint64_t bucket_end(size_t bucket)
{
	size_t power = bucket / HISTOGRAM_BUCKETS_EACH, step = bucket % HISTOGRAM_BUCKETS_EACH;

	if (power == 0)
		return step;
	return ((uint64_t)(HISTOGRAM_BUCKETS_EACH + step + 1) << (power - 1)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->counts[bucket_of(value)]++;
	histogram->total++;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
	/* A tenth of 60 is 6, also where a machine computes with more digits and 0.1 comes to a little more than a tenth. */
	double rank = quantile * (double)histogram->total * (1 - 1e-12);
	uint64_t seen = 0;

	for (size_t i = 0; i < ELEMENTSOF(histogram->counts); i++) {
		seen += histogram->counts[i];
		if (seen > 0 && (double)seen >= rank)
			return bucket_end(i);
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double statistics_median(double *values, size_t count)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), compare);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}
