/* SPDX-License-Identifier: MIT
 *
 * Medians and quantiles, beside what they must be.
 */
#include "bench/statistics.h"

#include "tests/base/unit.h"

static struct histogram histogram;

static void clear(void)
{
	histogram = (struct histogram){ 0 };
}

START_TEST(median)
{
	double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 3, 2 }, one[] = { 7 }, same[] = { 2, 2, 2, 2 };
	double outlier[] = { 1, 1, 1000000, 1, 1 };

	ck_assert_double_eq(statistics_median(odd, 3), 3);
	ck_assert_double_eq(statistics_median(even, 4), 2.5);
	ck_assert_double_eq(statistics_median(one, 1), 7);
	ck_assert_double_eq(statistics_median(same, 4), 2);
	ck_assert_double_eq(statistics_median(outlier, 5), 1);
	ck_assert_double_eq(statistics_median(NULL, 0), 0);
}
END_TEST

START_TEST(quantiles_of_small_values_are_exact)
{
	for (uint64_t i = 1; i <= 60; i++)
		histogram_add(&histogram, i);
	ck_assert_uint_eq(histogram.total, 60);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 30);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.1), 6);
	ck_assert_uint_eq(histogram_quantile(&histogram, 1), 60);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0), 1);
}
END_TEST

START_TEST(an_empty_histogram_has_none)
{
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 0);
}
END_TEST

/* Whatever the value, its quantile is not below it and at most 1/64 above. */
START_TEST(values_are_kept_nearly)
{
	for (unsigned power = 0; power < 41; power++)
		for (int offset = -1; offset <= 1; offset++) {
			uint64_t value = (UINT64_C(1) << power) + (uint64_t)(int64_t)offset, got;

			if (value >= UINT64_C(1) << 40)
				continue;
			clear();
			histogram_add(&histogram, value);
			got = histogram_quantile(&histogram, 0.5);
			ck_assert_uint_ge(got, value);
			ck_assert_uint_le(got, value + value / 64);
		}
}
END_TEST

START_TEST(a_value_too_large_counts_as_the_largest)
{
	histogram_add(&histogram, UINT64_MAX);
	histogram_add(&histogram, 3);
	ck_assert_uint_eq(histogram.total, 2);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 3);
	ck_assert_uint_ge(histogram_quantile(&histogram, 1), UINT64_C(1) << 39);
}
END_TEST

START_TEST(quantiles_count_from_below)
{
	/* 990 fast ones, 9 slow ones, one very slow. */
	for (int i = 0; i < 990; i++)
		histogram_add(&histogram, 10);
	for (int i = 0; i < 9; i++)
		histogram_add(&histogram, 40);
	histogram_add(&histogram, 50);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 10);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.99), 10);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.991), 40);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.999), 40);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.9999), 50);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(median),
		UNIT_TEST(quantiles_of_small_values_are_exact),
		UNIT_TEST(an_empty_histogram_has_none),
		UNIT_TEST(values_are_kept_nearly),
		UNIT_TEST(a_value_too_large_counts_as_the_largest),
		UNIT_TEST(quantiles_count_from_below),
		{ 0 },
	};
	static const struct unit_around around = { .setup = clear };

	return unit_run("statistics", tests, &around);
}
