/* SPDX-License-Identifier: MIT
 *
 * Sets of owned fds: nothing is closed twice, nothing is left open.
 */
#include "kernel/fdset.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/base/unit.h"

static int open_one(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(add_and_clear)
{
	struct fdset set;
	int first = open_one(), second = open_one();

	fdset_init(&set);
	ck_assert_uint_eq(set.count, 0);
	ck_assert_int_eq(fdset_add(&set, first), 0);
	ck_assert_int_eq(fdset_add(&set, second), 0);
	ck_assert_uint_eq(set.count, 2);
	ck_assert_int_eq(set.fds[0], first);
	ck_assert_int_eq(set.fds[1], second);
	ck_assert(is_open(first) && is_open(second));

	fdset_clear(&set);
	ck_assert_uint_eq(set.count, 0);
	ck_assert(!is_open(first));
	ck_assert(!is_open(second));

	/* Those numbers may be somebody else's by now. */
	first = open_one();
	fdset_clear(&set);
	ck_assert(is_open(first));
	(void)close(first);
}
END_TEST

START_TEST(take_leaves_a_hole)
{
	struct fdset set;
	int first = open_one(), second = open_one();

	fdset_init(&set);
	ck_assert_int_eq(fdset_take(&set, 0), -EBADF);
	ck_assert_int_eq(fdset_add(&set, first), 0);
	ck_assert_int_eq(fdset_add(&set, second), 0);

	ck_assert_int_eq(fdset_take(&set, 0), first);
	ck_assert_int_eq(fdset_take(&set, 0), -EBADF);
	ck_assert_int_eq(fdset_take(&set, 2), -EBADF);
	ck_assert_int_eq(fdset_take(&set, FDSET_MAX), -EBADF);
	ck_assert_int_eq(fdset_take(&set, SIZE_MAX), -EBADF);

	fdset_clear(&set);
	ck_assert(is_open(first));
	ck_assert(!is_open(second));
	(void)close(first);
}
END_TEST

START_TEST(full_closes_what_finds_no_room)
{
	size_t before = unit_count_fds();
	struct fdset set;
	int fd;

	fdset_init(&set);
	for (size_t i = 0; i < FDSET_MAX; i++)
		ck_assert_int_eq(fdset_add(&set, open_one()), 0);
	ck_assert_uint_eq(unit_count_fds(), before + FDSET_MAX);

	fd = open_one();
	errno = 0;
	ck_assert_int_eq(fdset_add(&set, fd), -ENOSPC);
	ck_assert(!is_open(fd));
	ck_assert_uint_eq(set.count, FDSET_MAX);

	/* A hole is not filled: the indexes of the others stay. */
	(void)close(fdset_take(&set, 5));
	ck_assert_int_eq(fdset_add(&set, open_one()), -ENOSPC);

	fdset_clear(&set);
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(move_changes_the_owner)
{
	struct fdset from, to;
	int first = open_one(), second = open_one();

	fdset_init(&from);
	fdset_init(&to);
	(void)fdset_add(&from, first);
	(void)fdset_add(&from, second);
	fdset_move(&to, &from);
	ck_assert_uint_eq(from.count, 0);
	ck_assert_uint_eq(to.count, 2);

	fdset_clear(&from);
	ck_assert(is_open(first) && is_open(second));
	ck_assert_int_eq(fdset_take(&to, 0), first);
	fdset_clear(&to);
	ck_assert(is_open(first));
	ck_assert(!is_open(second));
	(void)close(first);

	fdset_move(&to, &from);
	ck_assert_uint_eq(to.count, 0);
}
END_TEST

START_TEST(closing_keeps_errno)
{
	struct fdset set;

	fdset_init(&set);
	(void)fdset_add(&set, open_one());
	(void)fdset_add(&set, -EBADF);
	errno = ERANGE;
	fdset_clear(&set);
	ck_assert_int_eq(errno, ERANGE);
}
END_TEST

/* At these numbers, and no others from 100 to 119. */
static void place(struct fdset *set, const int *numbers, size_t count)
{
	int fd = open_one();

	fdset_init(set);
	for (int number = 100; number < 120; number++)
		(void)close(number);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(dup2(fd, numbers[i]), numbers[i]);
		(void)fdset_add(set, numbers[i]);
	}
	(void)close(fd);
}

/* Whole runs, parts of them, and what goes down or is there alone; what stands between them is somebody else's. */
static void close_runs(void)
{
	const int numbers[] = { 100, 101, 102, 104, 107, 106, 105, 109, 110, 115 };
	const int others[] = { 103, 108, 111, 114, 116 };
	struct fdset set;

	place(&set, numbers, ELEMENTSOF(numbers));
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		ck_assert_int_eq(dup2(100, others[i]), others[i]);
	ck_assert_int_eq(fdset_take(&set, 1), 101);

	fdset_clear(&set);
	ck_assert(is_open(101));
	(void)close(101);
	for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
		ck_assert(!is_open(numbers[i]));
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		ck_assert(is_open(others[i]));
}

START_TEST(others_between_are_left)
{
	close_runs();
}
END_TEST

/* Both sets' numbers follow one another by turns, as those of files and of what they were pinned by do. */
START_TEST(two_that_filled_by_turns)
{
	const int odd[] = { 101, 103, 105, 112 }, even[] = { 100, 102, 104, 107 };
	struct fdset a, b, empty;
	int fd = open_one();

	place(&a, odd, ELEMENTSOF(odd));
	fdset_init(&b);
	for (size_t i = 0; i < ELEMENTSOF(even); i++) {
		ck_assert_int_eq(dup2(fd, even[i]), even[i]);
		(void)fdset_add(&b, even[i]);
	}
	ck_assert_int_eq(dup2(fd, 106), 106);
	ck_assert_int_eq(fdset_take(&b, 1), 102);

	fdset_clear_both(&a, &b);
	ck_assert_uint_eq(a.count + b.count, 0);
	for (int number = 100; number < 120; number++)
		ck_assert_int_eq(is_open(number), number == 102 || number == 106);

	fdset_init(&empty);
	(void)fdset_add(&b, 102);
	fdset_clear_both(&empty, &b);
	ck_assert(!is_open(102));
	fdset_init(&b);
	(void)fdset_add(&a, 106);
	fdset_clear_both(&a, &empty);
	ck_assert(!is_open(106));
	fdset_clear_both(&a, &empty);
	(void)close(fd);
}
END_TEST

/* As a kernel before 5.9 has it. */
static int take_close_range_away(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { ELEMENTSOF(filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

START_TEST(a_kernel_without_ranges)
{
	ck_assert_int_eq(take_close_range_away(), 0);
	ck_assert_int_lt(close_range(200, 201, 0), 0);
	close_runs();
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(add_and_clear),
		UNIT_TEST(take_leaves_a_hole),
		UNIT_TEST(full_closes_what_finds_no_room),
		UNIT_TEST(move_changes_the_owner),
		UNIT_TEST(closing_keeps_errno),
		UNIT_TEST(two_that_filled_by_turns),
		UNIT_TEST(others_between_are_left),
		UNIT_TEST(a_kernel_without_ranges),
		{ 0 },
	};

	return unit_run("fdset", tests, NULL);
}
