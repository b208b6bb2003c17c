/* SPDX-License-Identifier: MIT
 *
 * A porterd that is somebody else's now, and what it can hand to the opener as a client: sockets of its own, and some
 * that others were so kind to lend it.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "kernel/sockio.h"
#include "tests/opener/request_fixture.h"

#define STRANGER 12

static pid_t lender;
static int lender_channel = -EBADF;

static void setup(void)
{
	request_setup();
	load_three();
	service.asker = (struct ucred){ getpid(), getuid(), getgid() };
}

/* The lender keeps its end for as long as the test lasts. */
static void teardown(void)
{
	fd_close(TAKE_FD(lender_channel));
	if (lender > 0)
		(void)waitpid(lender, NULL, 0);
	lender = 0;
	request_teardown();
}

/* Another process, of that user, makes a socket and lends it. */
static int lent_by(uid_t uid, int (*make)(void))
{
	char byte = 0;
	struct iovec part = { &byte, 1 };
	struct fdset fds;
	int pair[2], fd;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	lender = fork();
	if (lender == 0) {
		(void)close(pair[0]);
		if (setresuid(uid, uid, uid) < 0)
			_exit(1);
		fd = make();
		(void)sockio_send_fds(pair[1], &part, 1, &fd, 1, 0);
		(void)read(pair[1], &byte, 1);
		_exit(0);
	}
	(void)close(pair[1]);
	lender_channel = pair[0];
	ck_assert_int_eq(sockio_receive_fds(pair[0], &byte, 1, &fds, 0), 1);
	ck_assert_uint_eq(fds.count, 1);
	return fdset_take(&fds, 0);
}

static int make_pair(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ? -errno : pair[0];
}

/* Where clients connect, in a file system that has something else there. */
#define ABSTRACT "porterd-test-forgery"
static const char *const sockets[] = { "@" ABSTRACT, NULL };

static int make_bound_pair(void)
{
	static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0" ABSTRACT };
	const socklen_t size = offsetof(struct sockaddr_un, sun_path) + sizeof(ABSTRACT);
	int fd = make_pair();

	return bind(fd, (const struct sockaddr *)&address, size) < 0 ? -errno : fd;
}

static int accept_another(void)
{
	return accept(listener, NULL, NULL);
}

static enum opener_result ask(const char *label, int fd)
{
	start(OPENER_OPEN);
	add(label);
	return serve_with((ssize_t)packet_size(), fd);
}

START_TEST(a_pair_of_its_own_is_judged_as_itself)
{
	static const char *const elsewhere[] = { "/run/porterd/io.porterd", NULL };
	int pair[2];

	service.sockets = elsewhere;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(ask("theirs", pair[i]), OPENER_NOT_PERMITTED);
		ck_assert_str_eq(text(), "the client's user is not in AllowUser=");
		ck_number(record(), "PORTERD_CLIENT_PID", getpid());
		ck_assert_int_eq(ask("one", pair[i]), OPENER_OK);
		ck_number(record(), "PORTERD_CLIENT_UID", getuid());
	}
}
END_TEST

/* Whoever asks is not who made the pair. */
static const struct {
	int pid, uid, gid;
	bool unknown;
} others[] = {
	{ .pid = 1 },
	{ .uid = 1 },
	{ .gid = 1 },
	{ .unknown = true },
};

START_TEST(a_pair_of_somebody_else)
{
	int fd = make_pair();

	service.asker.pid += others[_i].pid;
	service.asker.uid += (uid_t)others[_i].uid;
	service.asker.gid += (gid_t)others[_i].gid;
	if (others[_i].unknown)
		service.asker = (struct ucred){ 0 };
	ck_assert_int_eq(ask("one", fd), OPENER_BAD_REQUEST);
	ck_assert_str_eq(text(), "the request came without a client's connected stream socket");
	ck_assert_str_eq(record(), "");
}
END_TEST

START_TEST(a_pair_that_another_process_lent)
{
	ck_assert_int_eq(ask("one", lent_by(getuid(), make_pair)), OPENER_BAD_REQUEST);
}
END_TEST

/* It could have been made by root, and be bound by whom it was made for. */
START_TEST(a_bound_pair_that_another_user_lent)
{
	int fd;

	if (getuid() != 0)
		unit_skip("only root can become somebody else");
	service.sockets = sockets;
	fd = lent_by(STRANGER, make_bound_pair);
	service.asker.uid = STRANGER + 1;
	ck_assert_int_eq(ask("one", fd), OPENER_BAD_REQUEST);
	ck_assert_str_eq(text(), "neither porterd nor the service manager has accepted the client's connection");

	/* Its own it can make look like a client: that is itself, once more. */
	service.asker.uid = STRANGER;
	ck_assert_int_eq(ask("one", fd), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(text(), "the client's user is not in AllowUser=");
}
END_TEST

START_TEST(a_connection_that_another_user_accepted)
{
	int fd;

	if (getuid() != 0)
		unit_skip("only root can become somebody else");
	(void)fixture_connect("listener", SOCK_STREAM);
	fd = lent_by(STRANGER, accept_another);
	service.asker.uid = STRANGER + 1;
	ck_assert_int_eq(ask("one", fd), OPENER_BAD_REQUEST);
	service.asker.uid = STRANGER;
	ck_assert_int_eq(ask("one", fd), OPENER_OK);
}
END_TEST

/* A pair that looks like a client's and is of who asks is judged, and only by who that is. */
START_TEST(a_pair_whose_maker_left)
{
	int fd = lent_by(getuid(), make_pair);

	service.asker.pid = lender;
	fd_close(TAKE_FD(lender_channel));
	ck_assert_int_eq(waitpid(lender, NULL, 0), lender);
	lender = 0;
	ck_assert_int_eq(ask("one", fd), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(text(), "the process that connected has exited");
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(a_pair_of_its_own_is_judged_as_itself),
		UNIT_LOOP(a_pair_of_somebody_else, ELEMENTSOF(others)),
		UNIT_TEST(a_pair_that_another_process_lent),
		UNIT_TEST(a_bound_pair_that_another_user_lent),
		UNIT_TEST(a_connection_that_another_user_accepted),
		UNIT_TEST(a_pair_whose_maker_left),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("forgery", tests, &(struct unit_around){ setup, teardown, 60 });
}
