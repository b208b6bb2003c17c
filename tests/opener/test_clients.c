/* SPDX-License-Identifier: MIT
 *
 * Clients that ask again: what is kept of them is theirs alone, and what may change is asked anew.
 */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kernel/process_unit.h"
#include "opener/deciding/clients.h"
#include "tests/opener/fixture.h"

#define STRANGER 12345

/* Stands in for the kernel's: a test is moved to no other unit. */
static const char *unit_now;
static unsigned units_parsed, units_read;
static enum process_units units_where;
static uint64_t number_now, number_next; /* the next one from when the text is read on; 0: it stays */

int process_cgroup_open(pid_t pid)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)pid;
	return fd < 0 ? -errno : fd;
}

int process_cgroup_read(int fd, char text[static PROCESS_CGROUP_SIZE])
{
	ck_assert_int_ge(fd, 0);
	units_read++;
	if (number_next > 0)
		number_now = number_next;
	(void)snprintf(text, PROCESS_CGROUP_SIZE, "%s", unit_now);
	return 0;
}

int process_cgroup_unit(const char *text, char **ret, enum process_units *ret_where)
{
	*ret_where = units_where;
	units_parsed++;
	if (text[0] == '\0')
		return -ENXIO;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

int process_cgroup_number(int pidfd, uint64_t *ret)
{
	ck_assert_int_ge(pidfd, 0);
	*ret = number_now;
	return number_now > 0 ? 0 : -ENOTTY;
}

int process_unit(pid_t pid, char **ret)
{
	(void)pid;
	return process_cgroup_unit(unit_now, ret, &(enum process_units){ 0 });
}

static struct clients *clients;
static int listener;
static struct ucred asker;
static const struct client *got;
static const char *reason;

static void setup(void)
{
	fixture_setup();
	listener = fixture_listen("listener", SOCK_STREAM);
	asker = (struct ucred){ getpid(), getuid(), getgid() };
	unit_now = "one.service";
	units_where = PROCESS_UNITS_NAMED;
	number_now = 0;
	units_read = units_parsed = 0;
	number_next = 0;
	ck_assert_int_eq(clients_new(&clients), 0);
}

static void teardown(void)
{
	clients = clients_free(clients);
	(void)close(listener);
	fixture_teardown();
}

struct connection {
	pid_t pid; /* 0: this process's */
	int end, accepted;
};

static struct connection own_connection(void)
{
	struct connection connection = { .end = fixture_connect("listener", SOCK_STREAM) };

	connection.accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(connection.accepted, 0);
	return connection;
}

/* Of another process, and of another user where that is possible; it leaves when the connection is closed. */
static struct connection other_connection(void)
{
	struct connection connection = { .end = -EBADF };
	char byte;

	connection.pid = fork();
	if (connection.pid == 0) {
		int fd;

		if (getuid() == 0 && (setgroups(0, NULL) < 0 || chmod(fixture_directory, 0755) < 0 ||
				      chmod(fixture_path("listener"), 0666) < 0 || setresuid(STRANGER, STRANGER, STRANGER) < 0))
			_exit(1);
		fd = fixture_connect("listener", SOCK_STREAM);
		(void)read(fd, &byte, 1);
		_exit(0);
	}
	connection.accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(connection.accepted, 0);
	return connection;
}

static void leave(struct connection *connection)
{
	if (connection->pid > 0) {
		(void)kill(connection->pid, SIGKILL);
		ck_assert_int_eq(waitpid(connection->pid, NULL, 0), connection->pid);
	}
	fd_close(connection->end);
	connection->end = -EBADF;
	connection->pid = 0;
}

static void end(struct connection *connection)
{
	leave(connection);
	(void)close(connection->accepted);
}

static enum opener_result ask(int fd)
{
	return clients_read(clients, fd, &asker, NULL, &got, &reason);
}

static void ck_is(const struct connection *connection)
{
	ck_assert_int_eq(ask(connection->accepted), OPENER_OK);
	ck_assert_int_eq(got->identity.pid, connection->pid > 0 ? connection->pid : getpid());
	ck_assert_uint_eq(got->identity.uid, connection->pid > 0 && getuid() == 0 ? STRANGER : getuid());
	ck_assert(got->alive);
}

/* Without a pidfd nobody is kept, so there is nothing to be tested. */
static bool has_pidfd(void)
{
	struct connection connection = own_connection();
	bool has;

	ck_assert_int_eq(ask(connection.accepted), OPENER_OK);
	has = got->identity.pidfd >= 0;
	end(&connection);
	(void)clients_sweep(clients);
	ck_assert(!clients_sweep(clients));
	return has;
}

START_TEST(who_asks_again_is_known)
{
	struct connection one = own_connection();
	const struct client *first;
	size_t fds;

	if (!has_pidfd())
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody is kept");
	ck_is(&one);
	first = got;
	ck_is(&one);
	ck_assert_ptr_eq(got, first);
	fds = unit_count_fds();
	for (int i = 0; i < 100; i++)
		ck_is(&one);
	ck_assert_uint_eq(unit_count_fds(), fds);
	end(&one);
}
END_TEST

START_TEST(everybody_is_themselves)
{
	struct connection one = own_connection(), other = other_connection(), again = own_connection();

	for (int i = 0; i < 10; i++) {
		ck_is(&one);
		ck_is(&other);
		ck_is(&again);
	}
	end(&one);
	end(&other);
	end(&again);
}
END_TEST

/* The same number for the descriptor, and often the same memory for the socket. */
START_TEST(the_next_one_is_somebody_else)
{
	for (int i = 0; i < 50; i++) {
		struct connection connection = i % 2 ? own_connection() : other_connection();

		ck_is(&connection);
		ck_is(&connection);
		end(&connection);
	}
}
END_TEST

START_TEST(there_are_only_so_many)
{
	struct connection connections[3 * CLIENTS_KEPT];
	size_t before = unit_count_fds() + 2 * ELEMENTSOF(connections);

	for (size_t i = 0; i < ELEMENTSOF(connections); i++)
		connections[i] = i % 8 ? own_connection() : other_connection();
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < ELEMENTSOF(connections); i++) {
			ck_is(&connections[i]);
			ck_is(&connections[i]);
		}
	/* Those of other processes have but one end here. */
	ck_assert_uint_le(unit_count_fds(), before - ELEMENTSOF(connections) / 8 + 2 * CLIENTS_KEPT);
	for (size_t i = 0; i < ELEMENTSOF(connections); i++)
		end(&connections[i]);
}
END_TEST

/* Also where it is not looked for a unit any more. */
START_TEST(who_left_is_told_and_forgotten)
{
	struct connection other = other_connection();
	size_t before;

	units_where = _i ? PROCESS_UNITS_NONE : PROCESS_UNITS_NAMED;
	unit_now = _i ? "" : "one.service";
	if (!has_pidfd())
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody is kept");
	before = unit_count_fds();
	ck_is(&other);
	ck_is(&other);
	leave(&other);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(ask(other.accepted), OPENER_OK);
		ck_assert(!got->alive);
	}
	ck_assert(!clients_sweep(clients));
	ck_assert_uint_eq(unit_count_fds(), before);
	end(&other);
}
END_TEST

START_TEST(who_does_not_ask_is_forgotten)
{
	struct connection one = own_connection(), other = own_connection();
	size_t before;

	if (!has_pidfd())
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody is kept");
	before = unit_count_fds();
	ck_is(&one);
	ck_is(&other);
	ck_assert(clients_sweep(clients));
	ck_is(&one);
	ck_assert(clients_sweep(clients));
	ck_assert(!clients_sweep(clients));
	ck_assert_uint_eq(unit_count_fds(), before);
	end(&one);
	end(&other);
}
END_TEST

/* A grant by AllowUnit= goes by what is said of the process now. */
START_TEST(the_unit_is_the_one_of_now)
{
	struct connection one = own_connection();

	if (!has_pidfd())
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody is kept");
	for (int i = 0; i < 3; i++) {
		ck_is(&one);
		ck_assert_str_eq(got->identity.unit, "one.service");
	}
	unit_now = "two.service";
	for (int i = 0; i < 3; i++) {
		ck_is(&one);
		ck_assert_str_eq(got->identity.unit, "two.service");
	}
	unit_now = "one.service";
	ck_is(&one);
	ck_assert_str_eq(got->identity.unit, "one.service");
	end(&one);
}
END_TEST

/* The number tells by itself that nothing changed, where it is a number of the hierarchy that has the units. */
START_TEST(a_cgroup_is_read_as_often_as_it_takes)
{
	static const struct {
		enum process_units where;
		uint64_t number;
		unsigned reads;
	} rows[] = {
		{ PROCESS_UNITS_NAMED, 0, 10 },
		{ PROCESS_UNITS_NAMED, 5, 10 },
		{ PROCESS_UNITS_UNIFIED, 0, 10 },
		{ PROCESS_UNITS_UNIFIED, 5, 1 },
		{ PROCESS_UNITS_NONE, 0, 1 },
	};

	if (!has_pidfd())
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody is kept");
	/* A unit without an invocation, as that of a test is, would be read again. */
	unit_now = "";
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct connection one = own_connection();

		units_where = rows[i].where;
		number_now = rows[i].number;
		ck_is(&one);
		units_read = 0;
		for (int asked = 0; asked < 10; asked++)
			ck_is(&one);
		ck_assert_msg(units_read == rows[i].reads, "%zu: %u", i, units_read);
		end(&one);
	}
}
END_TEST

START_TEST(a_new_number_is_a_new_unit)
{
	struct connection one = own_connection();

	if (!has_pidfd())
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody is kept");
	units_where = PROCESS_UNITS_UNIFIED;
	number_now = 5;
	unit_now = "";
	ck_is(&one);
	ck_is(&one);
	unit_now = "two.service";
	ck_is(&one);
	ck_assert_ptr_null(got->identity.unit);
	number_now = 6;
	for (int i = 0; i < 3; i++) {
		ck_is(&one);
		ck_assert_str_eq(got->identity.unit, "two.service");
	}
	end(&one);
}
END_TEST

/* Moved away, read there, and back where it was. */
START_TEST(a_number_that_changed_meanwhile_is_none)
{
	struct connection one = own_connection();

	if (!has_pidfd())
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody is kept");
	units_where = PROCESS_UNITS_UNIFIED;
	unit_now = "";
	number_next = 6;
	for (int i = 0; i < 2; i++) {
		number_now = 5;
		ck_is(&one);
		ck_assert_ptr_null(got->identity.unit);
	}
	number_now = 5;
	number_next = 0;
	unit_now = "two.service";
	ck_is(&one);
	ck_assert_str_eq(got->identity.unit, "two.service");
	end(&one);
}
END_TEST

/* Who asks is part of the answer: a connection that somebody else accepted is not porterd's, known or not. */
START_TEST(the_asker_counts)
{
	struct connection one = own_connection();
	const char *const elsewhere[] = { "/run/porterd/io.porterd", NULL };

	if (getuid() != 0)
		unit_skip("what root accepted is everybody's, and only root can accept for another");
	ck_assert_int_eq(fchown(one.accepted, STRANGER, STRANGER), 0);
	asker.uid = STRANGER;
	ck_is(&one);
	ck_is(&one);
	asker.uid = STRANGER + 1;
	ck_assert_int_eq(ask(one.accepted), OPENER_BAD_REQUEST);
	asker.uid = STRANGER;
	ck_is(&one);
	ck_assert_int_eq(clients_read(clients, one.accepted, &asker, elsewhere, &got, &reason),
			 OPENER_NOT_PERMITTED);
	ck_is(&one);
	/* The other end of the same connection is another socket. */
	ck_assert_int_eq(ask(one.end), OPENER_BAD_REQUEST);
	end(&one);
}
END_TEST

/* It stands for who made it, and asks, and for nobody else. */
START_TEST(a_pair_is_not_kept)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(ask(pair[0]), OPENER_OK);
	ck_assert_int_eq(ask(pair[0]), OPENER_OK);
	asker.pid++;
	ck_assert_int_eq(ask(pair[0]), OPENER_BAD_REQUEST);
}
END_TEST

START_TEST(a_shortage_is_not_remembered)
{
	struct connection one = own_connection();
	struct rlimit limit, none;

	if (unit_under_valgrind())
		unit_skip("valgrind has no limit of descriptors");
	if (!has_pidfd())
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody is kept");
	ck_is(&one);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(ask(one.accepted), OPENER_BUSY);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_is(&one);
	end(&one);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(who_asks_again_is_known),
		UNIT_TEST(everybody_is_themselves),
		UNIT_TEST(the_next_one_is_somebody_else),
		UNIT_TEST(there_are_only_so_many),
		UNIT_LOOP(who_left_is_told_and_forgotten, 2),
		UNIT_TEST(who_does_not_ask_is_forgotten),
		UNIT_TEST(the_unit_is_the_one_of_now),
		UNIT_TEST(a_cgroup_is_read_as_often_as_it_takes),
		UNIT_TEST(a_new_number_is_a_new_unit),
		UNIT_TEST(a_number_that_changed_meanwhile_is_none),
		UNIT_TEST(the_asker_counts),
		UNIT_TEST(a_pair_is_not_kept),
		UNIT_TEST(a_shortage_is_not_remembered),
		{ 0 },
	};

	return unit_run("clients", tests, &(struct unit_around){ setup, teardown, 60 });
}
