/* SPDX-License-Identifier: MIT
 *
 * The host's files beneath a directory. Each test is a process of its own: the directory is one for a process.
 */
#include "kernel/host.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "kernel/pin.h"
#include "tests/base/unit.h"
#include "tests/opener/fixture.h"

static char top[UNIT_PATH_SIZE];

static const char *in_top(const char *name)
{
	static char path[UNIT_PATH_SIZE + 32];

	(void)snprintf(path, sizeof(path), "%s%s", top, name);
	return path;
}

static void make_tree(void)
{
	unit_make_directory(top);
	ck_assert_int_eq(mkdir(in_top("/etc"), 0755), 0);
	ck_assert_int_eq(mkdir(in_top("/etc/porter-test"), 0700), 0);
	fd_close(creat(in_top("/etc/porter-test/file"), 0640));
	ck_assert_int_eq(symlink("/etc/porter-test/file", in_top("/link")), 0);
	ck_assert_int_eq(symlink("..", in_top("/up")), 0);
}

static void remove_tree(void)
{
	static const char *const names[] = { "/up", "/link", "/etc/porter-test/file" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		(void)unlink(in_top(names[i]));
	(void)rmdir(in_top("/etc/porter-test"));
	(void)rmdir(in_top("/etc"));
	(void)rmdir(top);
}

/* Is the fd the file in the tree? */
static bool is_file(int fd)
{
	struct stat status, wanted;
	bool same = fd >= 0 && fstat(fd, &status) == 0 && stat(in_top("/etc/porter-test/file"), &wanted) == 0 &&
		    status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev;

	fd_close(fd);
	return same;
}

static int look_without_directory(void *argument)
{
	(void)argument;
	unit_expect(host_pin("/etc/porter-test/file", 0, 0) == -ENOENT);
	unit_expect(is_file(host_pin(in_top("/etc/porter-test/file"), 0, RESOLVE_NO_SYMLINKS)));
	unit_expect(is_file(host_open(in_top("/etc/porter-test/file"), O_RDONLY)));
	unit_expect(strcmp(host_path("/etc/x"), "/etc/x") == 0);
	/* The root itself is the same as no directory. */
	unit_expect(host_enter("/") == 0);
	unit_expect(is_file(host_open(in_top("/etc/porter-test/file"), O_RDONLY)));
	return 0;
}

static int visit(int directory, const struct stat *status, size_t length, void *data)
{
	struct stat *last = data;

	(void)directory;
	(void)length;
	*last = *status;
	return 0;
}

static int look_with_directory(void *argument)
{
	struct stat last, wanted;
	char path[256];
	int pin;

	(void)argument;
	unit_expect(host_enter(in_top("/nothing")) == -ENOENT);
	unit_expect(host_enter(in_top("/link")) < 0);
	unit_expect(host_enter(in_top("/etc/..")) == 0);
	unit_expect(host_enter("/usr") == -EBUSY);

	unit_expect(is_file(host_pin("/etc/porter-test/file", 0, RESOLVE_NO_SYMLINKS)));
	unit_expect(is_file(host_open("/etc/porter-test/file", O_RDONLY)));
	unit_expect(is_file(host_open("//etc///porter-test/file", O_RDONLY)));
	unit_expect(host_open("//usr", O_RDONLY) == -ENOENT);
	unit_expect(host_status("//etc/porter-test", &wanted) == 0);
	unit_expect(host_status("//usr", &last) == -ENOENT);
	unit_expect(host_status("/", &last) == 0);
	unit_expect(host_pin("/link", 0, RESOLVE_NO_SYMLINKS) == -ELOOP);
	/* Absolute links lead to the host's files, and nothing leads out. */
	unit_expect(is_file(host_pin("/link", 0, 0)));
	unit_expect(is_file(host_open("/link", O_PATH)));
	unit_expect(is_file(host_pin("/up/../etc/porter-test/file", 0, 0)));
	unit_expect(host_pin("/usr", 0, 0) == -ENOENT);

	/* Files are known by the host's paths. */
	pin = pin_open("/etc/porter-test/file", "/etc");
	unit_expect(pin >= 0);
	unit_expect(pin_real_path(pin, path, sizeof(path)) == 0);
	unit_expect(strcmp(path, "/etc/porter-test/file") == 0);
	unit_expect(is_file(pin_reopen(pin, O_RDONLY)));
	fd_close(pin);
	unit_expect(pin_walk("/etc/porter-test/file", visit, &last) == 0);
	unit_expect(stat(in_top("/etc/porter-test"), &wanted) == 0 && last.st_ino == wanted.st_ino);
	unit_expect(strcmp(host_path(top), "/") == 0);
	unit_expect(strcmp(host_path(in_top("-not/etc")), in_top("-not/etc")) == 0);
	return 0;
}

START_TEST(without_a_directory_there_is_one_tree)
{
	ck_assert_int_eq(unit_in_child(look_without_directory, NULL), 0);
}
END_TEST

START_TEST(beneath_a_directory_are_the_hosts_files)
{
	ck_assert_int_eq(unit_in_child(look_with_directory, NULL), 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(without_a_directory_there_is_one_tree),
		UNIT_TEST(beneath_a_directory_are_the_hosts_files),
		{ 0 },
	};
	const struct unit_around around = { .setup = make_tree, .teardown = remove_tree };

	fixture_need_openat2();
	return unit_run("host", tests, &around);
}
