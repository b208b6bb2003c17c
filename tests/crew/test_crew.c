/* SPDX-License-Identifier: MIT
 *
 * How many workers there are.
 */
#include "crew/crew.h"

#include <sched.h>

#include "tests/base/unit.h"

START_TEST(one_for_two_cpus_and_one_at_least)
{
	cpu_set_t old, set;
	size_t usable = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(old), &old), 0);
	CPU_ZERO(&set);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &old))
			continue;
		CPU_SET(cpu, &set);
		usable++;
		ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
		ck_assert_uint_eq(crew_default_count(), usable < 4 ? 1 : usable / 2);
	}
	ck_assert_uint_gt(usable, 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(one_for_two_cpus_and_one_at_least),
		{ 0 },
	};

	return unit_run("crew", tests, NULL);
}
