/* SPDX-License-Identifier: MIT
 *
 * Create=: what is made, and where nothing is.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "open_fixture.h"

START_TEST(creation)
{
	struct identity client = fixture_client(STRANGER, STRANGER);
	struct grant grant = grant_for("new", GRANT_APPEND);
	struct opened checked;
	struct stat status;

	grant.create = true;
	grant.mode = 0646; /* more than the umask leaves */
	(void)umask(077);
	ck_assert_int_eq(open_check(&grant, &client, &places, &checked), OPENER_OK);
	ck_assert_int_lt(access(fixture_path("new"), F_OK), 0);

	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_OK);
	ck_flags(O_WRONLY, O_APPEND);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0646);
	ck_assert_uint_eq(status.st_uid, geteuid());
	ck_assert_uint_eq(opened.inode, status.st_ino);
	ck_assert_int_eq(write(opened.fd, "x", 1), 1);

	/* It is there now, and stays as it is. */
	ck_assert_int_eq(chmod(fixture_path("new"), 0600), 0);
	opened_clear(&opened);
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	ck_assert_int_eq(status.st_size, 1);
}
END_TEST

START_TEST(creation_follows_nothing)
{
	struct grant grant = grant_for("live/new", GRANT_WRITE);

	fixture_write("live/x", "", 0644);
	ck_assert_int_eq(symlink("target", fixture_path("live/new")), 0);
	grant.create = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_NOT_PERMITTED);

	/* Not even beneath Within=: a link that leads nowhere may not say what is made. The dry run can't tell. */
	grant.within = (char *)(uintptr_t)fixture_path("live");
	opened_clear(&opened);
	ck_assert_int_eq(open_grant(&grant, &(struct identity){ .uid = STRANGER }, &places, &opened), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(opened.reason, "a symbolic link that leads nowhere is in its place");
	ck_assert_int_lt(access(fixture_path("live/target"), F_OK), 0);

	grant = grant_for("live/none/new", GRANT_WRITE);
	grant.create = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_FILE_MISSING);
	grant = grant_for("/proc/new", GRANT_WRITE);
	grant.create = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_WRONG_TYPE);
}
END_TEST

/* A list that the file would inherit gives others what Mode= keeps for its owner. */
START_TEST(creation_inherits_nothing)
{
	struct grant grant = grant_for("listed/new", GRANT_WRITE);

	fixture_write("listed/x", "", 0644);
	if (set_acl_of(fixture_path("listed"), "system.posix_acl_default", 6) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		unit_skip("this file system has no access control lists");
	}
	grant.create = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_NOT_PERMITTED);
	ck_assert_ptr_nonnull(strstr(opened.reason, "default access control list"));
	ck_assert_int_lt(access(fixture_path("listed/new"), F_OK), 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(creation),
		UNIT_TEST(creation_follows_nothing),
		UNIT_TEST(creation_inherits_nothing),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("create", tests, &(struct unit_around){ open_setup, open_teardown, 0 });
}
