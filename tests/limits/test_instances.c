/* SPDX-License-Identifier: MIT
 *
 * Clients that have a process each, counted by the names of their units.
 */
#include "limits/instances.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "tests/base/unit.h"

static const struct {
	const char *unit;
	bool valid;
	uint64_t number;
	uid_t uid;
} names[] = {
	{ "porterd-isolated@0-1234-1000.service", true, 0, 1000 },
	/* systemd 256 and later. */
	{ "porterd-isolated-echo@17-1234_5678-1000.service", true, 17, 1000 },
	{ "porterd-isolated@4294967295-1-4294967294.service", true, 4294967295, 4294967294 },
	{ "porterd-isolated@3-unknown.service", false, 0, 0 },
	{ "porterd-isolated@3-1234-4294967295.service", false, 0, 0 },
	{ "porterd-isolated@3-1234-x.service", false, 0, 0 },
	{ "porterd-isolated@3-1234-.service", false, 0, 0 },
	{ "porterd-isolated@-1234-1000.service", false, 0, 0 },
	{ "porterd-isolated@1.service", false, 0, 0 },
	{ "porterd-isolated@1-2-3.socket", false, 0, 0 },
	{ "porterd.service", false, 0, 0 },
	{ "a-b-c.service", false, 0, 0 },
	{ "@", false, 0, 0 },
	{ "", false, 0, 0 },
};

START_TEST(names_are_read)
{
	struct instance instance;

	ck_assert_int_eq(instance_parse(&instance, names[_i].unit), names[_i].valid);
	if (!names[_i].valid)
		return;
	ck_assert_uint_eq(instance.number, names[_i].number);
	ck_assert_uint_eq(instance.uid, names[_i].uid);
	ck_assert_uint_eq(instance.name_length, (size_t)(strchr(names[_i].unit, '@') - names[_i].unit));
}
END_TEST

/* Beside "porterd-isolated@20-100-1000.service". */
static const struct {
	const char *neighbour;
	bool counts;
} neighbours[] = {
	{ "porterd-isolated@3-77-1000.service", true },
	{ "porterd-isolated@19-78_4-1000.service", true },
	{ "porterd-isolated@20-100-1000.service", false },
	{ "porterd-isolated@21-79-1000.service", false },
	{ "porterd-isolated@4-80-1001.service", false },
	{ "porterd-isolated-echo@5-81-1000.service", false },
	{ "porterd-isolate@5-81-1000.service", false },
	{ "porterd.service", false },
	{ "cgroup.procs", false },
};

START_TEST(earlier_ones_of_the_same_user_count)
{
	char directory[] = "/tmp/porterd-instances-XXXXXX";
	struct instance instance;
	size_t count = 99, wanted = 0;
	int fd;

	ck_assert(instance_parse(&instance, "porterd-isolated@20-100-1000.service"));
	ck_assert_ptr_nonnull(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(instance_count_earlier(&instance, fd, &count), 0);
	ck_assert_uint_eq(count, 0);
	for (size_t i = 0; i < ELEMENTSOF(neighbours); i++) {
		ck_assert_int_eq(mkdirat(fd, neighbours[i].neighbour, 0700), 0);
		wanted += neighbours[i].counts;
		/* Again and again from the beginning. */
		ck_assert_int_eq(instance_count_earlier(&instance, fd, &count), 0);
		ck_assert_uint_eq(count, wanted);
	}
	for (size_t i = 0; i < ELEMENTSOF(neighbours); i++)
		ck_assert_int_eq(unlinkat(fd, neighbours[i].neighbour, AT_REMOVEDIR), 0);
	ck_assert_int_eq(rmdir(directory), 0);
	ck_assert_int_eq(instance_count_earlier(&instance, -1, &count), -EBADF);
	fd_close(fd);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(names_are_read, ELEMENTSOF(names)),
		UNIT_TEST(earlier_ones_of_the_same_user_count),
		{ 0 },
	};

	return unit_run("instances", tests, NULL);
}
