/* SPDX-License-Identifier: MIT
 *
 * Deliver=copy: sealed, for one reader, of bounded size.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kernel/pin.h"
#include "open_fixture.h"

START_TEST(copies)
{
	struct grant grant = grant_for("file", GRANT_READ);
	char content[16] = "", proc[64];
	int fd;

	grant.copy = true;
	fixture_write("file", "content", 0600);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_flags(O_RDONLY, 0);
	ck_assert_int_eq(fcntl(opened.fd, F_GET_SEALS) & 0xf,
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);

	/* It is what it was, from its beginning, and stays so. */
	fixture_write("file", "changed", 0600);
	ck_assert_int_eq(read(opened.fd, content, sizeof(content) - 1), 7);
	ck_assert_str_eq(content, "content");
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", opened.fd);
	fd = open(proc, O_RDWR);
	ck_assert(fd < 0 || (write(fd, "x", 1) < 0 && errno == EPERM));
	fd_close(fd);
	ck_assert_int_lt(ftruncate(opened.fd, 0), 0);
}
END_TEST

/* What a program like PostgreSQL asks of a key's file: nobody but its owner, root, and the reader has it. */
START_TEST(copies_are_for_one_reader)
{
	struct grant grant = grant_for("file", GRANT_READ);
	struct stat status;

	grant.copy = true;
	fixture_write("file", "content", 0600);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0440);
	ck_assert_uint_eq(status.st_uid, geteuid());
	ck_assert_int_eq(pin_has_acl(opened.fd), PIN_ACL_POSIX);

	ck_assert_int_eq(open_for(&grant, geteuid()), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0400);
	ck_assert_int_eq(pin_has_acl(opened.fd), PIN_ACL_NONE);
}
END_TEST

START_TEST(copies_are_bounded)
{
	struct grant grant = grant_for("file", GRANT_READ);
	struct stat status;

	grant.copy = true;
	fixture_write("file", "", 0644);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(truncate(fixture_path("file"), (off_t)OPEN_COPY_MAX), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_int_eq(status.st_size, (off_t)OPEN_COPY_MAX);
	ck_assert_int_eq(truncate(fixture_path("file"), (off_t)OPEN_COPY_MAX + 1), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_NOT_PERMITTED);
	ck_assert_ptr_nonnull(strstr(opened.reason, "it is larger than the 4194304 bytes"));
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(copies),
		UNIT_TEST(copies_are_for_one_reader),
		UNIT_TEST(copies_are_bounded),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("copy", tests, &(struct unit_around){ open_setup, open_teardown, 0 });
}
