/* SPDX-License-Identifier: MIT
 *
 * The client behind a request: which descriptors stand for one, and which only seem to.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "kernel/sockopt.h"
#include "request_fixture.h"

/* Everything but the accepted end of a client's stream connection. Most of these would tell the credentials of
 * somebody: the listener's, or this process's. */
static int wrong_fd(int kind)
{
	int pair[2], fd;

	switch (kind) {
	case 0: /* the connecting end: its peer is whoever listens */
		return dup(client);
	case 1: /* what listens: its peer is itself */
		return dup(listener);
	case 2:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		return pair[0];
	case 3:
		return socket(AF_UNIX, SOCK_STREAM, 0);
	case 4:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		return pair[0];
	case 5:
		(void)fixture_listen("seqpacket", SOCK_SEQPACKET);
		return fixture_connect("seqpacket", SOCK_SEQPACKET);
	case 6:
		fd = fixture_listen("packets", SOCK_SEQPACKET);
		(void)fixture_connect("packets", SOCK_SEQPACKET);
		return accept(fd, NULL, NULL);
	case 7:
		return dup(journal);
	case 8:
		return socket(AF_INET, SOCK_STREAM, 0);
	case 9:
		ck_assert_int_eq(pipe(pair), 0);
		return pair[0];
	case 10:
		return open("/dev/null", O_RDONLY);
	case 11:
		return open(fixture_directory, O_PATH);
	case 12: /* bound, and connecting: as in 0, and with an address of its own */
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&(struct sockaddr_un){ .sun_family = AF_UNIX },
				      sizeof(sa_family_t)), 0);
		(void)close(client);
		client = fd;
		fd = fixture_connect("listener", SOCK_STREAM);
		return fd;
	default:
		ck_abort();
	}
}

START_TEST(wrong_kinds_of_fds)
{
	int fd = wrong_fd(_i);

	load_three();
	for (enum opener_operation operation = OPENER_OPEN; operation <= OPENER_LIST; operation++) {
		start(operation);
		if (operation != OPENER_LIST)
			add("one");
		ck_assert_int_eq(serve_with((ssize_t)packet_size(), fd), OPENER_BAD_REQUEST);
		ck_assert_str_eq(text(), "the request came without a client's connected stream socket");
	}
	ck_assert_str_eq(record(), "");
}
END_TEST

/* A connecting end with an address looks like an accepted one. Where it is not said which sockets are porterd's, only its
 * peer's address is left to tell. */
START_TEST(bound_clients)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	int ends[2];

	load_three();
	ends[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(ends[0], (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&address, size), 0);
	ends[1] = accept(listener, NULL, NULL);

	for (size_t i = 0; i < 2; i++) {
		start(OPENER_OPEN);
		add("one");
		add("none");
		ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[i]), OPENER_NOT_PERMITTED);
		ck_assert_ptr_nonnull(strstr(text(), "is bound to an address"));
		ck_field(record(), "PORTERD_FILE=one");
		ck_field(record(), "PORTERD_FILE=none");
		ck_assert_str_eq(record(), "");
		start(OPENER_LIST);
		ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[i]), OPENER_NOT_PERMITTED);
	}
	ck_assert_uint_eq(service.refused, 4);
}
END_TEST

/* Both ends of a client's connection; the client has done this to its socket before. */
static void connect_as(void (*prepare)(int fd), int ends[2])
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);

	ends[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	prepare(ends[0]);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&address, size), 0);
	ends[1] = accept(listener, NULL, NULL);
}

static void pass_credentials(int fd)
{
	const int on = 1;

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
}

static void pass_pidfd(int fd)
{
	const int on = 1;

	/* Before Linux 6.5 there is no such option, and nothing binds. */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on));
}

static void bind_to(int fd, const char *name, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, name, size);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)), 0);
}

static void bind_automatically(int fd)
{
	bind_to(fd, "", 0);
}

static void bind_like_that(int fd)
{
	bind_to(fd, "\0fffff", 6);
}

static void bind_to_a_name(int fd)
{
	bind_to(fd, "\0client", 7);
}

static void bind_to_a_longer_name(int fd)
{
	bind_to(fd, "\0" "00000a", 7);
}

static void bind_to_other_digits(int fd)
{
	bind_to(fd, "\0FFFFF", 6);
}

static void bind_to_a_path(int fd)
{
	bind_to(fd, fixture_path("client"), strlen(fixture_path("client")) + 1);
}

static void (*const bindings[])(int fd) = {
	pass_credentials,   pass_pidfd,		   bind_automatically,	 bind_like_that,
	bind_to_a_name,	    bind_to_a_longer_name, bind_to_other_digits, bind_to_a_path,
};

static bool tells_files(void)
{
	int file = sockopt_bound_file(accepted);

	if (file == -EPERM || file == -ENOTTY)
		return false;
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(fcntl(file, F_GETFD), FD_CLOEXEC);
	(void)close(file);
	return true;
}

/* Whoever chose a client's name, it is served where its connection is bound to the file of porterd's socket, and nowhere
 * else; and the connecting end never is. */
START_TEST(clients_with_a_name)
{
	char path[PATH_MAX], other[PATH_MAX];
	const char *const here[] = { path, NULL }, *const elsewhere[] = { other, NULL };
	int ends[2];

	(void)snprintf(path, sizeof(path), "%s", fixture_path("listener"));
	(void)snprintf(other, sizeof(other), "%s", fixture_path("other"));
	if (!tells_files())
		unit_skip("the kernel does not tell this user what a socket is bound to");
	load_three();
	connect_as(bindings[_i], ends);
	start(OPENER_OPEN);
	add("one");
	service.sockets = here;
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[1]), OPENER_OK);
	start(OPENER_LIST);
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[1]), OPENER_OK);
	ck_assert_int_ne(serve_with((ssize_t)packet_size(), ends[0]), OPENER_OK);
	service.sockets = elsewhere;
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[1]), OPENER_NOT_PERMITTED);
	ck_assert_int_ne(serve_with((ssize_t)packet_size(), ends[0]), OPENER_OK);
	/* Anywhere, as where the opener has sockets of its own to try. */
	service.sockets = NULL;
	if (bindings[_i] != pass_pidfd)
		ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[1]), OPENER_NOT_PERMITTED);
	ck_assert_int_ne(serve_with((ssize_t)packet_size(), ends[0]), OPENER_OK);
}
END_TEST

/* Options that are set later bind nothing. */
START_TEST(clients_that_stay_nameless)
{
	const char *const here[] = { fixture_path("listener"), NULL };

	load_three();
	service.sockets = here;
	pass_credentials(client);
	pass_pidfd(client);
	ck_assert_int_eq(send(client, "x", 1, 0), 1);
	start(OPENER_LIST);
	ck_assert_int_eq(serve(), OPENER_OK);
	service.sockets = NULL;
	forget_clients();
	ck_assert_int_eq(serve(), OPENER_OK);
}
END_TEST

/* What the kernel does not tell of it is not guessed: abstract addresses have no file. */
START_TEST(clients_with_a_name_at_an_abstract_address)
{
	static const char name[] = "\0porterd-test-abstract";
	static const char *const here[] = { "@porterd-test-abstract", NULL };
	int ends[2];

	load_three();
	(void)close(listener);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	bind_to(listener, name, sizeof(name) - 1);
	ck_assert_int_eq(listen(listener, 1), 0);
	service.sockets = here;
	connect_as(pass_credentials, ends);
	start(OPENER_LIST);
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[1]), OPENER_NOT_PERMITTED);
	ck_assert_ptr_nonnull(strstr(text(), "is bound to an address"));
}
END_TEST

/* The socket unit was stopped, or another has its place, and the connection is still there. */
START_TEST(the_listening_socket_is_gone)
{
	char path[PATH_MAX];
	const char *const here[] = { path, NULL };
	int ends[2];

	if (!tells_files())
		unit_skip("the kernel does not tell this user what a socket is bound to");
	if (getuid() != 0)
		unit_skip("the listening socket must have been root's");
	load_three();
	(void)snprintf(path, sizeof(path), "%s", fixture_path("listener"));
	service.sockets = here;
	connect_as(pass_credentials, ends);
	start(OPENER_LIST);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[1]), OPENER_OK);
	forget_clients();
	(void)fixture_listen("listener", SOCK_STREAM);
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[1]), OPENER_OK);
}
END_TEST

/* Listening at a name of the kernel's choice, it is named by what connects to it; and from there it looks like a client. */
START_TEST(listeners_that_the_kernel_bound)
{
	static const char abstract_name[] = "\0porterd-test-abstract";
	const char *const sockets[] = { fixture_path("listener"), "@porterd-test-abstract", NULL };
	struct sockaddr_un address;
	socklen_t size = sizeof(address);
	int autobound = socket(AF_UNIX, SOCK_STREAM, 0), ends[2];

	load_three();
	bind_automatically(autobound);
	ck_assert_int_eq(listen(autobound, 1), 0);
	ck_assert_int_eq(getsockname(autobound, (struct sockaddr *)&address, &size), 0);
	ends[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	if (_i == 1)
		pass_credentials(ends[0]);
	if (_i == 2)
		bind_to(ends[0], abstract_name, sizeof(abstract_name) - 1);
	ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&address, size), 0);
	ends[1] = accept(autobound, NULL, NULL);
	start(OPENER_LIST);
	service.sockets = sockets;
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_ne(serve_with((ssize_t)packet_size(), ends[i]), OPENER_OK);
	ck_assert_int_ne(serve_with((ssize_t)packet_size(), autobound), OPENER_OK);
}
END_TEST

/* Who connected elsewhere did not ask for a file. */
START_TEST(other_sockets)
{
	const char *const elsewhere[] = { "/run/porterd/io.porterd", "@listener", NULL };
	const char *const here[] = { "/run/porterd/io.porterd", fixture_path("listener"), NULL };
	const char *const abstract[] = { "@porterd-test-abstract", NULL };
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0porterd-test-abstract" };
	const socklen_t size = offsetof(struct sockaddr_un, sun_path) + 22;
	int fd, end;

	load_three();
	for (enum opener_operation operation = OPENER_OPEN; operation <= OPENER_LIST; operation++) {
		start(operation);
		if (operation != OPENER_LIST)
			add("one");
		service.sockets = elsewhere;
		ck_assert_int_eq(serve(), OPENER_NOT_PERMITTED);
		ck_assert_ptr_nonnull(strstr(text(), "not connected to a socket of porterd's"));
		if (operation == OPENER_OPEN)
			ck_field(record(), "PORTERD_RESULT=refused");
		service.sockets = here;
		ck_assert_int_eq(serve(), OPENER_OK);
		if (operation == OPENER_OPEN)
			ck_field(record(), "PORTERD_RESULT=granted");
	}

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	end = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(connect(end, (struct sockaddr *)&address, size), 0);
	fd = accept(fd, NULL, NULL);
	start(OPENER_LIST);
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), fd), OPENER_NOT_PERMITTED);
	service.sockets = abstract;
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), fd), OPENER_OK);
}
END_TEST

/* A name is all of its bytes: what begins like one of porterd's, up to a NUL, is another. */
START_TEST(a_socket_whose_name_goes_on)
{
	static const char *const abstract[] = { "@porterd-test-abstract", NULL };
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0porterd-test-abstract\0x" };
	const socklen_t size = offsetof(struct sockaddr_un, sun_path) + 24;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), end = socket(AF_UNIX, SOCK_STREAM, 0);

	load_three();
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(connect(end, (struct sockaddr *)&address, size), 0);
	fd = accept(fd, NULL, NULL);
	start(OPENER_LIST);
	service.sockets = abstract;
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), fd), OPENER_NOT_PERMITTED);
}
END_TEST

START_TEST(a_client_that_left)
{
	pid_t child;
	int gone;

	load_three();
	child = fork();
	if (child == 0) {
		(void)fixture_connect("listener", SOCK_STREAM);
		_exit(0);
	}
	gone = accept(listener, NULL, NULL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);

	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), gone), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(text(), "the process that connected has exited");
	ck_field(record(), "PORTERD_REASON=the process that connected has exited");
}
END_TEST

START_TEST(nothing_of_the_client_is_received)
{
	char byte = 0;

	load_three();
	ck_assert_int_eq(send(client, "x", 1, 0), 1);
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_int_eq(recv(accepted, &byte, 1, MSG_DONTWAIT), 1);
	ck_assert_int_eq(byte, 'x');
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(wrong_kinds_of_fds, 13),
		UNIT_TEST(bound_clients),
		UNIT_LOOP(clients_with_a_name, ELEMENTSOF(bindings)),
		UNIT_TEST(clients_that_stay_nameless),
		UNIT_TEST(clients_with_a_name_at_an_abstract_address),
		UNIT_TEST(the_listening_socket_is_gone),
		UNIT_LOOP(listeners_that_the_kernel_bound, 3),
		UNIT_TEST(other_sockets),
		UNIT_TEST(a_socket_whose_name_goes_on),
		UNIT_TEST(a_client_that_left),
		UNIT_TEST(nothing_of_the_client_is_received),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("client", tests, &(struct unit_around){ request_setup, request_teardown, 60 });
}
