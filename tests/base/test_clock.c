/* SPDX-License-Identifier: MIT
 *
 * Time, as this test tells it, and complaints that come again.
 */
#include "base/clock.h"

#include <time.h>

#include "unit.h"

/* Stands in for libc's. */
static struct timespec now;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	*ret = clock == CLOCK_MONOTONIC ? now : (struct timespec){ 0 };
	return 0;
}

START_TEST(time_is_told_in_microseconds)
{
	now = (struct timespec){ .tv_sec = 5000000000, .tv_nsec = 999999999 };
	ck_assert_uint_eq(clock_now_usec(), 5000000000999999);
}
END_TEST

START_TEST(a_complaint_is_made_once_in_a_while)
{
	struct complaint complaint = { 0 }, other = { 0 };

	now = (struct timespec){ .tv_sec = 1 };
	ck_assert(complaint_is_due(&complaint));
	ck_assert(!complaint_is_due(&complaint));
	now = (struct timespec){ .tv_sec = 10, .tv_nsec = 999999999 };
	ck_assert(!complaint_is_due(&complaint));
	/* Asking does not put it off, and each cause has its own time. */
	ck_assert(complaint_is_due(&other));
	now = (struct timespec){ .tv_sec = 11 };
	ck_assert(complaint_is_due(&complaint));
	ck_assert(!complaint_is_due(&complaint));
	ck_assert(!complaint_is_due(&other));
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(time_is_told_in_microseconds),
		UNIT_TEST(a_complaint_is_made_once_in_a_while),
		{ 0 },
	};

	return unit_run("clock", tests, NULL);
}
