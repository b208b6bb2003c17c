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

#define UNTOUCHED 4242U

struct sample {
	const char *name;
	int result;
	uint32_t number;
};

static const struct sample samples[] = {
	{ "root", 0, 0 },
	{ "0", 0, 0 },
	{ "1000", 0, 1000 },
	{ "65534", 0, 65534 },
	{ "4294967294", 0, 4294967294U },
	/* (uid_t)-1 means "no user" to the kernel. */
	{ "4294967295", -EINVAL, UNTOUCHED },
	{ "4294967296", -EINVAL, UNTOUCHED },
	{ "9999999999", -EINVAL, UNTOUCHED },
	{ "18446744073709551616", -EINVAL, UNTOUCHED },
	{ "00000000000", -EINVAL, UNTOUCHED },
	{ "00", -EINVAL, UNTOUCHED },
	{ "010", -EINVAL, UNTOUCHED },
	{ "-1", -ENOENT, UNTOUCHED },
	{ "+1", -ENOENT, UNTOUCHED },
	{ " 1", -ENOENT, UNTOUCHED },
	{ "1 ", -EINVAL, UNTOUCHED },
	{ "0x0", -EINVAL, UNTOUCHED },
	{ "1root", -EINVAL, UNTOUCHED },
	{ "", -EINVAL, UNTOUCHED },
	{ "root:", -EINVAL, UNTOUCHED },
	{ "root:x", -EINVAL, UNTOUCHED },
	{ ":", -EINVAL, UNTOUCHED },
	{ "root\n", -EINVAL, UNTOUCHED },
	{ "\nroot", -EINVAL, UNTOUCHED },
	{ "roo", -ENOENT, UNTOUCHED },
	{ "roott", -ENOENT, UNTOUCHED },
	{ "Root", -ENOENT, UNTOUCHED },
	{ "no-such-account-here", -ENOENT, UNTOUCHED },
};

START_TEST(names_and_numbers)
{
	const struct sample *sample = &samples[_i];
	uid_t user = UNTOUCHED;
	gid_t group = UNTOUCHED;

	ck_assert_int_eq(accounts_find_user(sample->name, &user), sample->result);
	ck_assert_uint_eq(user, sample->number);
	ck_assert_int_eq(accounts_find_group(sample->name, &group), sample->result);
	ck_assert_uint_eq(group, sample->number);
}
END_TEST

START_TEST(files_are_read_once_and_closed)
{
	size_t before = unit_count_fds();
	uid_t user;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(accounts_find_user("root", &user), 0);
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

static int write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static int find_user(const char *name)
{
	uid_t user = UNTOUCHED;
	int r = accounts_find_user(name, &user);

	return r < 0 ? r : (int)user;
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
	unit_expect(find_user("carl") == -ENOENT);

	/* In place, which keeps the inode. */
	unit_expect(write_text(path, "anna:x:2001:2001::/:\ncarl:x:2003:2003::/:\nolga\nbert:x:2002:1::/:\n") == 0);
	unit_expect(find_user("anna") == 2001);
	unit_expect(find_user("carl") == 2003);
	unit_expect(find_user("root") == -ENOENT);

	/* A line that is cut short must not borrow the next one's number. */
	unit_expect(write_text(path, "dora:\nemil:77:88:99:\n:x:0:0::/:\nfritz:x:-1:\ngerd:x::\nheinz:x:4294967295:\n"
				     "ida\njan:x:12z:\n") == 0);
	unit_expect(find_user("dora") == -EINVAL);
	unit_expect(find_user("emil") == 88);
	unit_expect(find_user("fritz") == -EINVAL);
	unit_expect(find_user("gerd") == -EINVAL);
	unit_expect(find_user("heinz") == -EINVAL);
	unit_expect(find_user("ida") == -ENOENT);
	unit_expect(find_user("jan") == -EINVAL);

	unit_expect(write_text(path, "") == 0);
	unit_expect(find_user("emil") == -ENOENT);

	/* What can't be read says so, and numbers need no file. */
	unit_expect(mount("/dev/null", "/etc/passwd", "none", MS_BIND, NULL) == 0);
	unit_expect(find_user("emil") == -EFBIG);
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
		UNIT_TEST(files_are_read_once_and_closed),
		UNIT_TEST(changed_and_broken_files),
		{ 0 },
	};

	return unit_run("accounts", tests, NULL);
}
