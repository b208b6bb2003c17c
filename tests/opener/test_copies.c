/* SPDX-License-Identifier: MIT
 *
 * Deliver=copy again and again: what receivers do not close has a bound.
 */
#include "opener/opening/copies.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/memfd.h"
#include "kernel/pin.h"
#include "opener/opening/open.h"
#include "tests/opener/request_fixture.h"

#define ONE 12345
#define OTHER 12346

static struct copies *copies;

static void setup(void)
{
	request_setup();
	ck_assert_int_eq(copies_new(&copies), 0);
}

static void teardown(void)
{
	copies_free(copies);
	request_teardown();
}

/* Adds a copy and returns what its receiver has of it, or -errno. */
static int give_of(struct copies *of, uid_t uid, size_t size)
{
	int memory = memfd_new("copy"), fd = pin_reopen(memory, O_RDONLY), r;

	ck_assert_int_ge(memory, 0);
	ck_assert_int_ge(fd, 0);
	r = copies_add(of, uid, fd, size);
	fd_close(memory);
	if (r == 0)
		return fd;
	fd_close(fd);
	return r;
}

static int give(uid_t uid, size_t size)
{
	return give_of(copies, uid, size);
}

START_TEST(they_count_until_they_are_closed)
{
	int fd, second;
	size_t before;

	/* The first reopening keeps a directory of /proc. */
	fd_close(pin_reopen(journal, O_RDONLY));
	before = unit_count_fds();
	fd = give(ONE, 1);
	ck_assert_int_ge(fd, 0);
	ck_assert(copies_sweep(copies));
	second = dup(fd);
	fd_close(fd);
	ck_assert(copies_sweep(copies));
	fd_close(second);
	ck_assert(!copies_sweep(copies));
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

/* Nobody has it open while it lies in a socket, but somebody may. */
START_TEST(they_count_on_their_way)
{
	char space[CMSG_SPACE(sizeof(int))] = "";
	struct iovec part = { (char[]){ "x" }, 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)
	};
	int pair[2], fd = give(ONE, 1);

	CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(sendmsg(pair[0], &message, 0), 1);
	fd_close(fd);
	ck_assert(copies_sweep(copies));
	fd_close(pair[0]);
	fd_close(pair[1]);
	ck_assert(!copies_sweep(copies));
}
END_TEST

START_TEST(one_user_has_so_many)
{
	int fds[COPIES_USER_MAX], fd;

	for (size_t i = 0; i < COPIES_USER_MAX; i++) {
		fds[i] = give(ONE, 1);
		ck_assert_int_ge(fds[i], 0);
	}
	ck_assert_int_eq(give(ONE, 1), -EDQUOT);
	fd = give(OTHER, 1);
	ck_assert_int_ge(fd, 0);
	fd_close(fd);
	/* When one is closed there is room for another, without anybody having to wait. */
	fd_close(fds[7]);
	fds[7] = give(ONE, 1);
	ck_assert_int_ge(fds[7], 0);
	for (size_t i = 0; i < COPIES_USER_MAX; i++)
		fd_close(fds[i]);
}
END_TEST

START_TEST(one_user_has_so_many_bytes)
{
	int fd = give(ONE, COPIES_USER_BYTES_MAX - 1), more = give(ONE, 1), other;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(more, 0);
	ck_assert_int_eq(give(ONE, 1), -EDQUOT);
	other = give(OTHER, COPIES_USER_BYTES_MAX);
	ck_assert_int_ge(other, 0);
	fd_close(fd);
	fd_close(more);
	fd_close(other);
}
END_TEST

START_TEST(all_have_so_many_bytes)
{
	int fds[COPIES_BYTES_MAX / COPIES_USER_BYTES_MAX];

	for (uid_t i = 0; i < ELEMENTSOF(fds); i++) {
		fds[i] = give(ONE + i, COPIES_USER_BYTES_MAX);
		ck_assert_int_ge(fds[i], 0);
	}
	ck_assert_int_eq(give(ONE + (uid_t)ELEMENTSOF(fds), 1), -EDQUOT);
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		fd_close(fds[i]);
}
END_TEST

START_TEST(whoever_comes_next_finds_room)
{
	const size_t piece = COPIES_USER_BYTES_MAX / 16;
	int fds[3 + 8 + 2];
	size_t n = 0;

	for (uid_t i = 0; i < 3; i++)
		fds[n++] = give(ONE + i, COPIES_USER_BYTES_MAX);
	/* A quarter is left: the fourth has half of it, and the fifth something. */
	for (size_t i = 0; i < 8; i++)
		fds[n++] = give(ONE + 3, piece);
	ck_assert_int_eq(give(ONE + 3, piece), -EDQUOT);
	fds[n++] = give(ONE + 4, piece);
	/* Root may have the rest. */
	ck_assert_int_eq(give(0, 8 * piece), -EDQUOT);
	fds[n++] = give(0, 7 * piece);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_ge(fds[i], 0);
		fd_close(fds[i]);
	}
}
END_TEST

/* O_PATH is no open file, and keeps the memory all the same: it can be opened again from there. */
START_TEST(they_count_while_anything_leads_to_them)
{
	char path[PIN_PROC_PATH_SIZE];
	int fd = give(ONE, 1), pin;

	ck_assert_int_ge(fd, 0);
	pin_proc_path(fd, path);
	pin = open(path, O_PATH | O_CLOEXEC);
	ck_assert_int_ge(pin, 0);
	fd_close(fd);
	ck_assert(copies_sweep(copies));
	fd = pin_reopen(pin, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	fd_close(pin);
	ck_assert(copies_sweep(copies));
	fd_close(fd);
	ck_assert(!copies_sweep(copies));
}
END_TEST

/* As a client sees it who asks for a large file and keeps what it gets, when others have the most of what there is. */
START_TEST(requests_are_busy_then)
{
	int others[4], fds[3] = { -EBADF, -EBADF, -EBADF };
	size_t n = 0;
	char lines[1024];

	for (uid_t i = 0; i < ELEMENTSOF(others); i++) {
		others[i] = give_of(service.copies, ONE + i, COPIES_USER_BYTES_MAX / (i == 3 ? 2 : 1));
		ck_assert_int_ge(others[i], 0);
	}
	fds[0] = give_of(service.copies, 0, COPIES_USER_BYTES_MAX / 2 - 2 * OPEN_COPY_MAX);
	ck_assert_int_ge(fds[0], 0);
	fixture_write("large", "", 0600);
	ck_assert_int_eq(truncate(fixture_path("large"), (off_t)OPEN_COPY_MAX), 0);
	(void)snprintf(lines, sizeof(lines), "[large]\nPath=%s\nDeliver=copy\nAllowUser=%u\n", fixture_path("large"),
		       getuid());
	load_text(lines);
	start(OPENER_OPEN);
	add("large");
	/* Room for two; who is not root leaves one of it. */
	for (n = 1; n < ELEMENTSOF(fds) && serve() == OPENER_OK; n++) {
		fds[n] = TAKE_FD(response.fds.fds[0]);
		response.fds.count = 0;
	}
	ck_assert_uint_eq(n, getuid() == 0 ? 3 : 2);
	ck_assert_int_eq(serve(), OPENER_BUSY);
	ck_assert_str_eq(text(), "copies that were given out before are still open");
	ck_assert_uint_eq(response.fds.count, 0);
	fd_close(fds[1]);
	ck_assert_int_eq(serve(), OPENER_OK);
	fd_close(fds[0]);
	fd_close(fds[2]);
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		fd_close(others[i]);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(they_count_until_they_are_closed),
		UNIT_TEST(they_count_on_their_way),
		UNIT_TEST(one_user_has_so_many),
		UNIT_TEST(one_user_has_so_many_bytes),
		UNIT_TEST(all_have_so_many_bytes),
		UNIT_TEST(whoever_comes_next_finds_room),
		UNIT_TEST(they_count_while_anything_leads_to_them),
		UNIT_TEST(requests_are_busy_then),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("copies", tests, &(struct unit_around){ setup, teardown, 0 });
}
