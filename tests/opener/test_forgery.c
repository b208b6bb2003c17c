/* SPDX-License-Identifier: MIT
 *
 * A porterd that is somebody else's now, and what it can hand to the opener as a client: sockets of its own, and some
 * that others were so kind to lend it.
 */
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "kernel/sockio.h"
#include "kernel/sockopt.h"
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

/* porterd's own path, and a socket of that name which is somewhere else: moved away here, in a mount namespace of
 * somebody's own there. */
static char own_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static const char *const own_sockets[] = { own_path, NULL };

static int bind_by_that_name(int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", own_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (getuid() == 0)
		ck_assert_int_eq(lchown(own_path, STRANGER, STRANGER), 0);
	ck_assert_int_eq(rename(own_path, fixture_path("elsewhere")), 0);
	return fd;
}

static int stream(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void set_passcred(int fd)
{
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)), 0);
}

/* Somebody's listening socket, of a name as the kernel or a program has chosen it. */
static int listen_at(const char *name, socklen_t size, struct sockaddr_un *address, socklen_t *ret_size)
{
	int fd = stream();

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (size > 0)
		memcpy(address->sun_path, name, size);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)address, (socklen_t)(sizeof(sa_family_t) + size)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	*ret_size = sizeof(*address);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, ret_size), 0);
	return fd;
}

/* The end that is connecting there. */
static int connect_by_that_name(const char *name, socklen_t size)
{
	struct sockaddr_un address;
	socklen_t length;
	int fd = bind_by_that_name(stream());

	(void)listen_at(name, size, &address, &length);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, length), 0);
	return fd;
}

static int to_an_autobound_listener(void)
{
	return connect_by_that_name(NULL, 0);
}

static int to_a_listener_of_such_a_name(void)
{
	return connect_by_that_name("\0abcde", 6);
}

static int to_a_listener_of_a_path(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = bind_by_that_name(stream());

	(void)fixture_listen("other", SOCK_STREAM);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture_path("other"));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int pair_half_bound(void)
{
	return bind_by_that_name(make_pair());
}

static int pair_bound(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(bind(pair[1], &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t)), 0);
	return bind_by_that_name(pair[0]);
}

/* Somebody could be made to connect to it, with and without a name. */
static int accept_there(bool named)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = bind_by_that_name(stream()), end = stream();

	ck_assert_int_eq(listen(fd, 1), 0);
	if (named)
		set_passcred(end);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture_path("elsewhere"));
	ck_assert_int_eq(connect(end, (struct sockaddr *)&address, sizeof(address)), 0);
	return accept(fd, NULL, NULL);
}

static int accepted_elsewhere(void)
{
	return accept_there(false);
}

static int accepted_elsewhere_of_a_named(void)
{
	return accept_there(true);
}

static int (*const forgeries[])(void) = {
	to_an_autobound_listener,
	to_a_listener_of_such_a_name,
	to_a_listener_of_a_path,
	pair_bound,
	accepted_elsewhere_of_a_named,
	/* Their peers have no name, so without the file they look like any client. */
	pair_half_bound,
	accepted_elsewhere,
};
#define FORGERIES_NAMED 5

static bool tells_files(void)
{
	int file = sockopt_bound_file(accepted);

	fd_close(file);
	return file >= 0;
}

static int forge(size_t i)
{
	int fd;

	(void)snprintf(own_path, sizeof(own_path), "%s", fixture_path("io.porterd"));
	service.sockets = own_sockets;
	fd = forgeries[i]();
	(void)fixture_listen("io.porterd", SOCK_STREAM);
	return fd;
}

START_TEST(another_socket_of_that_name)
{
	int fd;

	if (!tells_files())
		unit_skip("the kernel does not tell this user what a socket is bound to");
	fd = forge((size_t)_i);
	ck_assert_int_eq(ask("one", fd), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(text(), "the client is connected to another socket that was bound by the name of porterd's");
	ck_field(record(), "PORTERD_RESULT=refused");

	/* Also when nothing is left of its file, or of porterd's. */
	ck_assert_int_eq(unlink(fixture_path("elsewhere")), 0);
	ck_assert_int_eq(ask("one", fd), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(unlink(own_path), 0);
	ck_assert_int_eq(ask("one", fd), OPENER_NOT_PERMITTED);
}
END_TEST

/* Of root's, even: as a container's root makes it. */
START_TEST(a_socket_of_another_file_system)
{
	const char *door = fixture_path("door");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	int fd;

	if (!tells_files() || unshare(CLONE_NEWNS) < 0)
		unit_skip("this user has no mount namespaces");
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mkdir(door, 0755), 0);
	ck_assert_int_eq(mount("tmpfs", door, "tmpfs", 0, NULL), 0);
	(void)snprintf(own_path, sizeof(own_path), "%s", fixture_path("door/io.porterd"));
	service.sockets = own_sockets;
	fd = fixture_listen("door/io.porterd", SOCK_STREAM);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(client = stream(), (struct sockaddr *)&address, size), 0);
	fd = accept(fd, NULL, NULL);
	ck_assert_int_eq(umount2(door, MNT_DETACH), 0);

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(ask("one", fd), OPENER_NOT_PERMITTED);
		ck_assert_ptr_nonnull(strstr(text(), "another socket that was bound by the name of porterd's"));
		if (i == 0)
			(void)fixture_listen("door/io.porterd", SOCK_STREAM);
	}
}
END_TEST

static void set_capability(unsigned bit, bool on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
	data[bit / 32].effective &= ~(1U << bit % 32);
	if (on)
		data[bit / 32].effective |= 1U << bit % 32;
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
}

/* As in a container without a network of its own: a peer that is bound could be anybody. */
START_TEST(where_the_kernel_does_not_tell)
{
	bool told = tells_files();
	enum opener_result result;
	int fd;

	fd = forge((size_t)_i);
	if (told)
		set_capability(CAP_NET_ADMIN, false);
	ck_assert(!tells_files());
	result = ask("one", fd);
	if (told)
		set_capability(CAP_NET_ADMIN, true);
	ck_assert_int_eq(result, OPENER_NOT_PERMITTED);
	ck_assert_str_eq(text(), "the client's socket is bound to an address, so it could as well be the listening end");
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
		UNIT_LOOP(another_socket_of_that_name, ELEMENTSOF(forgeries)),
		UNIT_TEST(a_socket_of_another_file_system),
		UNIT_LOOP(where_the_kernel_does_not_tell, FORGERIES_NAMED),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("forgery", tests, &(struct unit_around){ setup, teardown, 60 });
}
