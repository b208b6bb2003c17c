/* SPDX-License-Identifier: MIT
 *
 * Files in memory: what can be done with one before it is sealed, and what nobody can do afterwards.
 */
#include "kernel/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/base/unit.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

START_TEST(a_new_one_is_empty_and_ours)
{
	/* Whether the kernel (6.3 and later) knows how to keep it from being executed. */
	_cleanup_close_ int probe = memfd_create("probe", MFD_CLOEXEC | MFD_NOEXEC_SEAL), fd = memfd_new("test");
	struct stat status;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &status), 0);
	ck_assert_int_eq(status.st_size, 0);
	ck_assert_int_eq(write(fd, "content", 7), 7);

	ck_assert_int_eq(fcntl(fd, F_GET_SEALS), probe < 0 ? 0 : F_SEAL_EXEC);
	if (probe >= 0)
		ck_assert_uint_eq(status.st_mode & 0111, 0);
}
END_TEST

START_TEST(a_name_may_be_too_long)
{
	char name[300];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(memfd_new(name), -EINVAL);
}
END_TEST

START_TEST(a_sealed_one_stays_as_it_is)
{
	_cleanup_close_ int fd = memfd_new("test"), again = -EBADF;
	char content[8] = "", path[64];

	ck_assert_int_eq(write(fd, "content", 7), 7);
	ck_assert_int_eq(memfd_seal(fd), 0);

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(again, 0);
	for (size_t i = 0; i < 2; i++) {
		int end = i == 0 ? fd : again;

		ck_assert_int_lt(pwrite(end, "C", 1, 0), 0);
		ck_assert_int_eq(errno, EPERM);
		ck_assert_int_lt(ftruncate(end, 0), 0);
		ck_assert_int_lt(ftruncate(end, 8), 0);
		ck_assert_ptr_eq(mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, end, 0), MAP_FAILED);
		ck_assert_int_lt(fcntl(end, F_ADD_SEALS, F_SEAL_WRITE), 0);
	}
	ck_assert_int_eq(pread(again, content, sizeof(content), 0), 7);
	ck_assert_str_eq(content, "content");
}
END_TEST

START_TEST(only_files_in_memory_are_sealed)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(memfd_seal(fd), -EINVAL);
	ck_assert_int_eq(memfd_seal(-1), -EBADF);
	ck_assert_int_eq(memfd_restrict(-1, geteuid()), -EBADF);
	ck_assert_int_eq(memfd_restrict(-1, geteuid() + 1), -EBADF);
}
END_TEST

START_TEST(one_reader_shows_in_the_mode)
{
	_cleanup_close_ int own = memfd_new("test"), other = memfd_new("test");
	struct stat status;

	ck_assert_int_eq(memfd_restrict(own, geteuid()), 0);
	ck_assert_int_eq(fstat(own, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0400);

	ck_assert_int_eq(memfd_restrict(other, geteuid() + 1), 0);
	ck_assert_int_eq(fstat(other, &status), 0);
	ck_assert_msg((status.st_mode & 07777) == 0440 || (status.st_mode & 07777) == 0444, "%o", status.st_mode);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(a_new_one_is_empty_and_ours),
		UNIT_TEST(a_name_may_be_too_long),
		UNIT_TEST(a_sealed_one_stays_as_it_is),
		UNIT_TEST(only_files_in_memory_are_sealed),
		UNIT_TEST(one_reader_shows_in_the_mode),
		{ 0 },
	};

	return unit_run("memfd", tests, NULL);
}
