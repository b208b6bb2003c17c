/* SPDX-License-Identifier: MIT
 *
 * Names and numbers of the local account files.
 */
#include "base/accounts.h"

#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "unit.h"

#define NONE UINT32_MAX

struct sample {
	const char *name;
	uint32_t number;
};

static const struct sample samples[] = {
	{ "root", 0 },
	{ "0", 0 },
	{ "1000", 1000 },
	{ "65534", 65534 },
	{ "4294967294", 4294967294U },
	/* (uid_t)-1 means "no user" to the kernel. */
	{ "4294967295", NONE },
	{ "4294967296", NONE },
	{ "9999999999", NONE },
	{ "18446744073709551616", NONE },
	{ "00000000000", NONE },
	{ "00", NONE },
	{ "010", NONE },
	{ "-1", NONE },
	{ "+1", NONE },
	{ " 1", NONE },
	{ "1 ", NONE },
	{ "0x0", NONE },
	{ "1root", NONE },
	{ "", NONE },
	{ "root:", NONE },
	{ "root:x", NONE },
	{ ":", NONE },
	{ "root\n", NONE },
	{ "\nroot", NONE },
	{ "roo", NONE },
	{ "roott", NONE },
	{ "Root", NONE },
	{ "no-such-account-here", NONE },
};

START_TEST(names_and_numbers)
{
	const struct sample *sample = &samples[_i];
	uid_t user = 4242;
	gid_t group = 4242;

	accounts_find_users(&sample->name, 1, &user);
	ck_assert_uint_eq(user, sample->number);
	accounts_find_groups(&sample->name, 1, &group);
	ck_assert_uint_eq(group, sample->number);
}
END_TEST

static uid_t find_user(const char *name)
{
	uid_t user = 4242;

	accounts_find_users(&name, 1, &user);
	return user;
}

static size_t n_looked_at;

/* In place of the C library's, to count. */
int stat(const char *path, struct stat *ret)
{
	n_looked_at++;
	return fstatat(AT_FDCWD, path, ret, 0);
}

START_TEST(many_names_are_one_look_at_the_file)
{
	static const char *const names[] = { "no-such-account", "root", "1root", "", "77", "roo", "root:", "4294967295",
					     "root", "roott" };
	static const uint32_t numbers[] = { UINT32_MAX, 0, UINT32_MAX, UINT32_MAX, 77, UINT32_MAX, UINT32_MAX,
					    UINT32_MAX, 0, UINT32_MAX };
	uid_t users[ELEMENTSOF(names)];
	gid_t groups[ELEMENTSOF(names)];

	n_looked_at = 0;
	accounts_find_users(names, ELEMENTSOF(names), users);
	ck_assert_uint_eq(n_looked_at, 1);
	accounts_find_groups(names, ELEMENTSOF(names), groups);
	ck_assert_uint_eq(n_looked_at, 2);
	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		ck_assert_uint_eq(users[i], numbers[i]);
		ck_assert_uint_eq(groups[i], numbers[i]);
	}

	/* Numbers need no file. */
	accounts_find_users((const char *const[]){ "1", "2" }, 2, users);
	ck_assert_uint_eq(n_looked_at, 2);
}
END_TEST

START_TEST(files_are_read_once_and_closed)
{
	size_t before = unit_count_fds();

	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(find_user("root"), 0);
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

static int write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

#define NO_NAMESPACE 77

/* In a mount namespace of its own /etc/passwd can be anything. */
static int look_at_other_files(void *argument)
{
	const char *path = argument;

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return NO_NAMESPACE;
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		return NO_NAMESPACE;
	unit_expect(find_user("root") == 0);

	unit_expect(write_text(path, "root:x:0:0::/:\nanna:x:1001:1001::/:\nbert:x:1002") == 0);
	if (mount(path, "/etc/passwd", "none", MS_BIND, NULL) < 0)
		return NO_NAMESPACE;
	unit_expect(find_user("anna") == 1001);
	unit_expect(find_user("bert") == 1002);
	unit_expect(find_user("carl") == NONE);

	/* In place, which keeps the inode. */
	unit_expect(write_text(path, "anna:x:2001:2001::/:\ncarl:x:2003:2003::/:\nolga\nbert:x:2002:1::/:\n") == 0);
	unit_expect(find_user("anna") == 2001);
	unit_expect(find_user("carl") == 2003);
	unit_expect(find_user("root") == NONE);

	/* A line that is cut short must not borrow the next one's number. */
	unit_expect(write_text(path, "dora:\nemil:77:88:99:\n:x:0:0::/:\nfritz:x:-1:\ngerd:x::\nheinz:x:4294967295:\n"
				     "ida\njan:x:12z:\n") == 0);
	unit_expect(find_user("dora") == NONE);
	unit_expect(find_user("emil") == 88);
	unit_expect(find_user("fritz") == NONE);
	unit_expect(find_user("gerd") == NONE);
	unit_expect(find_user("heinz") == NONE);
	unit_expect(find_user("ida") == NONE);
	unit_expect(find_user("jan") == NONE);

	/* Of two lines with one name the first counts, and none is taken for the beginning of another. */
	unit_expect(write_text(path, "b:x:5::\nab:x:4::\na:x:1::\nabc:x:3::\na:x:2::\nba:x:6::\nb:::\n") == 0);
	unit_expect(find_user("a") == 1);
	unit_expect(find_user("ab") == 4);
	unit_expect(find_user("abc") == 3);
	unit_expect(find_user("b") == 5);
	unit_expect(find_user("ba") == 6);
	unit_expect(find_user("abcd") == NONE);
	unit_expect(find_user("c") == NONE);

	unit_expect(write_text(path, "") == 0);
	unit_expect(find_user("emil") == NONE);

	/* What can't be read has no names, and numbers need no file. */
	unit_expect(mount("/dev/null", "/etc/passwd", "none", MS_BIND, NULL) == 0);
	unit_expect(find_user("emil") == NONE);
	unit_expect(find_user("77") == 77);
	return 0;
}

START_TEST(changed_and_broken_files)
{
	char directory[UNIT_PATH_SIZE], path[UNIT_PATH_SIZE + 16];
	int r;

	unit_make_directory(directory);
	(void)snprintf(path, sizeof(path), "%s/passwd", directory);
	r = unit_in_child(look_at_other_files, path);
	(void)unlink(path);
	(void)rmdir(directory);

	if (r == NO_NAMESPACE)
		unit_skip("no mount namespace for an /etc/passwd of our own");
	ck_assert_int_eq(r, 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(names_and_numbers, ELEMENTSOF(samples)),
		UNIT_TEST(many_names_are_one_look_at_the_file),
		UNIT_TEST(files_are_read_once_and_closed),
		UNIT_TEST(changed_and_broken_files),
		{ 0 },
	};

	return unit_run("accounts", tests, NULL);
}
