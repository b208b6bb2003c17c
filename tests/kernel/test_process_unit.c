/* SPDX-License-Identifier: MIT
 *
 * Units of cgroups.
 */
#include "kernel/process_unit.h"

#include <stdbool.h>
#include <systemd/sd-login.h>

#include "tests/base/unit.h"

static const struct {
	const char *of, *of_first, *unit;
} cases[] = {
	/* One hierarchy, as everywhere today. */
	{ "0::/system.slice/nginx.service\n", "0::/init.scope\n", "nginx.service" },
	{ "0::/init.scope\n", "0::/init.scope\n", "init.scope" },
	{ "0::/user.slice/user-1000.slice/session-3.scope\n", "0::/init.scope\n", "session-3.scope" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope\n", "0::/init.scope\n",
	  "user@1000.service" },
	{ "0::/system.slice/system-getty.slice/getty@tty1.service\n", "0::/init.scope\n", "getty@tty1.service" },
	{ "0::/system.slice/a.service/supervised/b.service\n", "0::/init.scope\n", "a.service" },
	{ "0::/system.slice/dev-disk-by\\x2duuid.swap\n", "0::/init.scope\n", "dev-disk-by\\x2duuid.swap" },
	{ "0::/a@b@.service\n", "0::/init.scope\n", "a@b@.service" },
	{ "0::/a@.b.service\n", "0::/init.scope\n", "a@.b.service" },
	{ "0::/_cgroup.service\n", "0::/init.scope\n", "cgroup.service" },
	/* No unit. */
	{ "0::/\n", "0::/init.scope\n", NULL },
	{ "0::/system.slice\n", "0::/init.scope\n", NULL },
	{ "0::/system.slice/\n", "0::/init.scope\n", NULL },
	{ "0::/machines/x\n", "0::/init.scope\n", NULL },
	{ "0::/.service\n", "0::/init.scope\n", NULL },
	{ "0::/a@.service\n", "0::/init.scope\n", NULL },
	{ "0::/@b.service\n", "0::/init.scope\n", NULL },
	{ "0::/a b.service\n", "0::/init.scope\n", NULL },
	{ "0::/../other.service\n", "0::/init.scope\n", NULL },
	{ "", "0::/init.scope\n", NULL },
	{ "4:cpu:/system.slice/a.service\n", "0::/init.scope\n", NULL },
	/* Several hierarchies: the one that PID 1 manages counts. */
	{ "4:cpu:/x.service\n1:name=systemd:/system.slice/a.service\n0::/\n",
	  "4:cpu:/\n1:name=systemd:/init.scope\n0::/\n", "a.service" },
	{ "4:cpu:/x.service\n1:name=systemd:/system.slice/a.service\n", "1:name=systemd:/init.scope\n", "a.service" },
	{ "9:name=systemd:/\n0::/system.slice/b.service\n", "9:name=systemd:/\n0::/init.scope\n", "b.service" },
	{ "9:name=systemd:/x.service\n0::/\n", "9:name=systemd:/\n0::/init.scope\n", NULL },
	{ "1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n",
	  "1:name=systemd:/init.scope\n0::/init.scope\n", "b.service" },
	{ "0::/system.slice/a.service\n", "0::/\n", NULL },
	{ "0::/system.slice/a.service\n", "", NULL },
	/* A container that sees the host's cgroups. */
	{ "0::/machine.slice/c.scope/system.slice/a.service\n", "0::/machine.slice/c.scope/init.scope\n", "a.service" },
	{ "0::/machine.slice/c.scope-not/a.service\n", "0::/machine.slice/c.scope/init.scope\n", NULL },
	{ "0::/machine.slice/c.scope.service\n", "0::/machine.slice/c.scope/init.scope\n", "c.scope.service" },
	/* PID 1 is not systemd, or not in this hierarchy. */
	{ "0::/system.slice/a.service\n", "0::/machine.slice/container.scope\n", NULL },
	{ "1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n",
	  "1:name=systemd:/init.scope\n0::/machine.slice/container.scope\n", "a.service" },
};

START_TEST(a_unit_is_the_first_part_that_is_no_slice)
{
	char *unit = NULL;
	int r = process_unit_of_cgroup(cases[_i].of, cases[_i].of_first, &unit);

	ck_assert_int_eq(r, cases[_i].unit ? 0 : -ENXIO);
	if (cases[_i].unit)
		ck_assert_str_eq(unit, cases[_i].unit);
	free(unit);
}
END_TEST

/* libsystemd has the last word, on whatever runs here. What has just started or ended is asked again. */
START_TEST(the_library_says_the_same)
{
	unsigned found = 0;

	for (pid_t pid = 1; pid < 4096; pid++) {
		bool same = false;

		for (int tries = 0; !same && tries < 5; tries++) {
			_cleanup_free_ char *ours = NULL, *theirs = NULL;
			int r = process_unit(pid, &ours), s = sd_pid_get_unit(pid, &theirs);

			same = r < 0 ? s < 0 : s >= 0 && strcmp(ours, theirs) == 0;
			found += same && r >= 0;
		}
		ck_assert_msg(same, "process %d", pid);
	}
	(void)printf("# %u processes are in units\n", found);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(a_unit_is_the_first_part_that_is_no_slice, ELEMENTSOF(cases)),
		UNIT_TEST(the_library_says_the_same),
		{ 0 },
	};

	return unit_run("process_unit", tests, NULL);
}
