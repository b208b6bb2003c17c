/* SPDX-License-Identifier: MIT
 *
 * Identities of ourselves, of a client with other rights, and of one that has left.
 */
#include "kernel/identity.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "kernel/process_unit.h"
#include "kernel/sockopt.h"
#include "tests/base/unit.h"

#define CLIENT_ID 12345U

static const gid_t client_groups[] = { 5, 12346, 12347 };

/* Stands in for the library's: a test runs in no unit of its own choice. */
static const char *unit_of_all;
static pid_t unit_asked_of;
static void (*meanwhile)(void);

int process_unit(pid_t pid, char **ret)
{
	unit_asked_of = pid;
	if (meanwhile)
		meanwhile();
	if (!unit_of_all)
		return -ENODATA;
	*ret = strdup(unit_of_all);
	return *ret ? 0 : -ENOMEM;
}

/* --- ourselves --- */

START_TEST(an_empty_identity_is_nobody)
{
	struct identity identity;

	identity_init(&identity);
	ck_assert_uint_eq(identity.known, 0);
	ck_assert(!identity_is_attested(&identity));
	ck_assert(!identity_is_alive(&identity));
	ck_assert(!identity_in_group(&identity, 0));
	ck_assert(!identity_in_group(&identity, (gid_t)-1));
	ck_assert(!identity.has_groups);
	identity_clear(&identity);
	identity_clear(&identity);
}
END_TEST

START_TEST(parts_are_read_when_needed_and_once)
{
	size_t before = unit_count_fds();
	struct identity identity;
	gid_t *groups;
	int ends[2], pidfd;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	unit_of_all = NULL;
	identity_init(&identity);

	ck_assert_int_eq(identity_read(&identity, ends[0], IDENTITY_CREDENTIALS), 0);
	ck_assert_uint_eq(identity.known, IDENTITY_CREDENTIALS);
	ck_assert_uint_eq(identity.uid, geteuid());
	ck_assert_uint_eq(identity.gid, getegid());
	ck_assert_int_eq(identity.pid, getpid());
	ck_assert(!identity.has_groups);
	ck_assert_int_lt(identity.pidfd, 0);
	ck_assert_uint_eq(unit_count_fds(), before + 2);

	/* A mark shows that nothing is read over it. */
	identity.uid = CLIENT_ID;
	ck_assert_int_eq(identity_read(&identity, ends[0], IDENTITY_CREDENTIALS | IDENTITY_GROUPS), 0);
	ck_assert_uint_eq(identity.known, IDENTITY_CREDENTIALS | IDENTITY_GROUPS);
	ck_assert_uint_eq(identity.uid, CLIENT_ID);
	ck_assert(identity.has_groups);
	ck_assert_int_eq((int)identity.n_groups, getgroups(0, NULL));

	ck_assert_int_eq(identity_read(&identity, ends[0], IDENTITY_ALL), 0);
	ck_assert_uint_eq(identity.known, IDENTITY_ALL);
	ck_assert_uint_eq(identity.uid, CLIENT_ID);
	pidfd = identity.pidfd;
	groups = identity.groups;

	/* Known parts do not even need the socket. */
	ck_assert_int_eq(identity_read(&identity, -1, IDENTITY_ALL), 0);
	ck_assert_int_eq(identity_read_unit(&identity), 0);
	ck_assert_int_eq(identity.pidfd, pidfd);
	ck_assert_ptr_eq(identity.groups, groups);
	ck_assert_uint_eq(unit_count_fds(), before + 2 + (pidfd >= 0));

	identity_clear(&identity);
	ck_assert_uint_eq(identity.known, 0);
	ck_assert_uint_eq(unit_count_fds(), before + 2);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

START_TEST(the_unit_is_that_of_the_process)
{
	struct identity identity;
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	unit_of_all = "porterd-unit-test.service";
	identity_init(&identity);
	ck_assert_int_eq(identity_read(&identity, ends[0], IDENTITY_UNIT), 0);
	/* What it rests upon was read along. */
	ck_assert_uint_eq(identity.known, IDENTITY_UNIT | IDENTITY_PROCESS | IDENTITY_CREDENTIALS);
	(void)close(ends[0]);
	(void)close(ends[1]);

	if (identity.pidfd == -ENOPROTOOPT) {
		ck_assert_ptr_null(identity.unit);
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody has a unit");
	}
	ck_assert_str_eq(identity.unit, unit_of_all);
	ck_assert_int_eq(unit_asked_of, getpid());
	ck_assert_ptr_null(identity.invocation_id);

	/* Once. */
	unit_asked_of = 0;
	ck_assert_int_eq(identity_read(&identity, -1, IDENTITY_UNIT), 0);
	ck_assert_int_eq(unit_asked_of, 0);
	identity_clear(&identity);
}
END_TEST

START_TEST(without_a_pidfd_there_is_no_unit)
{
	struct identity identity;

	unit_of_all = "porterd-unit-test.service";
	identity_init(&identity);
	identity.known = IDENTITY_CREDENTIALS | IDENTITY_PROCESS;
	identity.uid = 0;
	identity.pid = getpid();
	identity.pidfd = -ESRCH;
	ck_assert_int_eq(identity_read(&identity, -1, IDENTITY_UNIT), 0);
	ck_assert_ptr_null(identity.unit);
	ck_assert_ptr_null(identity.invocation_id);
	ck_assert(!identity_is_alive(&identity));
}
END_TEST

START_TEST(sockets_without_a_peer_say_why)
{
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int inet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct identity identity;
	int r;

	identity_init(&identity);
	ck_assert_int_eq(identity_read(&identity, stream, IDENTITY_ALL), -ENOTCONN);
	if (inet >= 0) {
		r = identity_read(&identity, inet, IDENTITY_ALL);
		ck_assert(r == -ENOTCONN || r == -ENOPROTOOPT);
	}
	ck_assert_int_eq(identity_read(&identity, file, IDENTITY_ALL), -ENOTSOCK);
	ck_assert_uint_eq(identity.known, 0);
	ck_assert(!identity_is_attested(&identity));
	fd_close(stream);
	fd_close(inet);
	fd_close(file);
}
END_TEST

/* --- rules --- */

static const struct {
	unsigned known;
	uid_t uid;
	pid_t pid;
	bool attested;
} attestations[] = {
	{ IDENTITY_CREDENTIALS, 0, 1, true },
	{ IDENTITY_CREDENTIALS, 65533, 4711, true },
	{ IDENTITY_CREDENTIALS, 65535, 4711, true },
	{ IDENTITY_CREDENTIALS, 65534, 4711, false },
	{ IDENTITY_CREDENTIALS, (uid_t)-1, 4711, false },
	{ IDENTITY_CREDENTIALS, 0, 0, false },
	{ IDENTITY_CREDENTIALS, 0, -1, false },
	{ 0, 0, 1, false },
	{ IDENTITY_ALL & ~IDENTITY_CREDENTIALS, 0, 1, false },
};

START_TEST(attested_is_who_can_be_named)
{
	struct identity identity;

	identity_init(&identity);
	identity.known = attestations[_i].known;
	identity.uid = attestations[_i].uid;
	identity.pid = attestations[_i].pid;
	ck_assert_int_eq(identity_is_attested(&identity), attestations[_i].attested);
}
END_TEST

START_TEST(groups_are_searched)
{
	gid_t groups[] = { 7, (gid_t)-1, 9 };
	struct identity identity;

	identity_init(&identity);
	identity.gid = 5;
	identity.groups = groups;
	identity.n_groups = ELEMENTSOF(groups);
	ck_assert(identity_in_group(&identity, 5));
	ck_assert(identity_in_group(&identity, 7));
	ck_assert(identity_in_group(&identity, 9));
	ck_assert(!identity_in_group(&identity, 0));
	ck_assert(!identity_in_group(&identity, 8));
	ck_assert(!identity_in_group(&identity, (gid_t)-1));
	identity.gid = (gid_t)-1;
	ck_assert(!identity_in_group(&identity, (gid_t)-1));
	/* What the kernel says of every group that has no number here. */
	identity.gid = 65534;
	ck_assert(!identity_in_group(&identity, 65534));
	groups[0] = 65534;
	ck_assert(!identity_in_group(&identity, 65534));
	identity.n_groups = 2;
	ck_assert(!identity_in_group(&identity, 9));
}
END_TEST

/* --- a client with other rights --- */

struct client {
	pid_t pid;
	int fd; /* the service's end */
};

static int be_client(const struct sockaddr_un *address, socklen_t size, bool drop)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	if (drop) {
		unit_expect(setgroups(ELEMENTSOF(client_groups), client_groups) == 0);
		unit_expect(setresgid(CLIENT_ID, CLIENT_ID, CLIENT_ID) == 0);
		unit_expect(setresuid(CLIENT_ID, CLIENT_ID, CLIENT_ID) == 0);
	}
	unit_expect(connect(fd, (const struct sockaddr *)address, size) == 0);
	unit_expect(read(fd, &byte, 1) == 1);
	return 0;
}

static void start_client(struct client *client, bool drop)
{
	struct sockaddr_un address;
	socklen_t size = unit_make_address(&address, "identity");
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	client->pid = fork();
	if (client->pid == 0)
		_exit(be_client(&address, size, drop));
	client->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(client->fd, 0);
	(void)close(listener);
}

static void end_client(struct client *client)
{
	int status;

	ck_assert_int_eq((int)sockio_send(client->fd, "x", 1, 0), 1);
	ck_assert_int_eq(waitpid(client->pid, &status, 0), client->pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(another_user_is_seen_as_such)
{
	struct identity identity;
	struct client client;

	if (geteuid() != 0)
		unit_skip("only root can start a client of another user");

	start_client(&client, true);
	identity_init(&identity);
	ck_assert_int_eq(identity_read(&identity, client.fd, IDENTITY_ALL), 0);
	ck_assert_uint_eq(identity.uid, CLIENT_ID);
	ck_assert_uint_eq(identity.gid, CLIENT_ID);
	ck_assert_int_eq(identity.pid, client.pid);
	ck_assert(identity.has_groups);
	ck_assert_uint_eq(identity.n_groups, ELEMENTSOF(client_groups));
	ck_assert_mem_eq(identity.groups, client_groups, sizeof(client_groups));
	ck_assert(identity_is_attested(&identity));
	ck_assert(identity_in_group(&identity, CLIENT_ID));
	ck_assert(identity_in_group(&identity, 12346));
	ck_assert(!identity_in_group(&identity, 0));
	ck_assert(identity_is_alive(&identity) || identity.pidfd == -ENOPROTOOPT);

	end_client(&client);
	ck_assert(!identity_is_alive(&identity));
	identity_clear(&identity);
	(void)close(client.fd);
}
END_TEST

static struct client leaving;

static void let_the_client_leave(void)
{
	end_client(&leaving);
}

/* It was there when its cgroup was read, so what was read may be the unit of whoever has its pid now. */
START_TEST(who_leaves_meanwhile_has_no_unit)
{
	struct identity identity;

	start_client(&leaving, false);
	unit_of_all = "porterd-unit-test.service";
	identity_init(&identity);
	ck_assert_int_eq(identity_read(&identity, leaving.fd, IDENTITY_PROCESS | IDENTITY_CREDENTIALS), 0);
	if (identity.pidfd == -ENOPROTOOPT) {
		end_client(&leaving);
		(void)close(leaving.fd);
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5), so nobody has a unit");
	}
	ck_assert(identity_is_alive(&identity));
	meanwhile = let_the_client_leave;
	ck_assert_int_eq(identity_read(&identity, leaving.fd, IDENTITY_UNIT), 0);
	meanwhile = NULL;
	ck_assert_int_eq(unit_asked_of, leaving.pid);
	ck_assert_ptr_null(identity.unit);
	ck_assert_ptr_null(identity.invocation_id);
	identity_clear(&identity);
	(void)close(leaving.fd);
}
END_TEST

/* The unit is dropped even where it could be read, if the process is gone by then. */
START_TEST(who_has_left_has_no_unit)
{
	struct identity before, after;
	struct client client;

	unit_of_all = "porterd-unit-test.service";
	start_client(&client, false);
	identity_init(&before);
	identity_init(&after);
	ck_assert_int_eq(identity_read(&before, client.fd, IDENTITY_PROCESS), 0);
	ck_assert_int_eq(identity_read(&before, client.fd, IDENTITY_CREDENTIALS), 0);
	end_client(&client);

	/* As if the pid had been given to a living process meanwhile: ourselves. */
	before.pid = getpid();
	ck_assert(!identity_is_alive(&before));
	ck_assert_int_eq(identity_read(&before, client.fd, IDENTITY_UNIT), 0);
	ck_assert_ptr_null(before.unit);
	ck_assert_ptr_null(before.invocation_id);

	ck_assert_int_eq(identity_read(&after, client.fd, IDENTITY_ALL), 0);
	ck_assert_int_eq(after.pid, client.pid);
	ck_assert_uint_eq(after.uid, geteuid());
	ck_assert(!identity_is_alive(&after));
	ck_assert_ptr_null(after.unit);
	identity_clear(&before);
	identity_clear(&after);
	(void)close(client.fd);
}
END_TEST

/* --- messages --- */

START_TEST(a_message_brings_an_identity)
{
	size_t before = unit_count_fds();
	struct sockio_sender sender;
	struct identity identity;
	char buffer[4];
	int ends[2], pidfd;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(sockopt_pass_attestation(ends[0]), 0);
	ck_assert_int_eq((int)sockio_send(ends[1], "x", 1, 0), 1);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 1);
	(void)strcpy(sender.label, "label");
	pidfd = sender.pidfd;

	identity_init(&identity);
	ck_assert_int_eq(identity_from_sender(&identity, &sender), 0);
	ck_assert_int_lt(sender.pidfd, 0);
	ck_assert_int_eq(identity.pidfd, pidfd);
	ck_assert_int_eq(identity.pid, getpid());
	ck_assert_uint_eq(identity.uid, geteuid());
	ck_assert(!identity.has_groups);
	ck_assert_str_eq(identity.label, "label");
	ck_assert_int_eq(identity_is_attested(&identity), geteuid() != IDENTITY_UID_NOBODY);
	ck_assert_int_eq(identity_is_alive(&identity), pidfd >= 0);
	/* All but the unit is known, so no socket is asked. */
	ck_assert_int_eq(identity_read(&identity, -1, IDENTITY_ALL), 0);
	ck_assert_uint_eq(identity.known, IDENTITY_ALL);

	/* The next one takes its place. */
	sender.attested = false;
	ck_assert_int_eq(identity_from_sender(&identity, &sender), -ENODATA);
	ck_assert(!identity_is_attested(&identity));
	ck_assert_uint_eq(unit_count_fds(), before + 2);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

START_TEST(a_sender_that_exited_is_not_alive)
{
	struct sockio_sender sender;
	struct identity identity;
	char buffer[4];
	int ends[2], status;
	pid_t child;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(sockopt_pass_attestation(ends[0]), 0);
	child = fork();
	if (child == 0)
		_exit(sockio_send(ends[1], "x", 1, 0) == 1 ? 0 : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);

	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 1);
	ck_assert_int_eq(sender.credentials.pid, child);
	identity_init(&identity);
	ck_assert_int_eq(identity_from_sender(&identity, &sender), 0);
	ck_assert_int_eq(identity_is_attested(&identity), geteuid() != IDENTITY_UID_NOBODY);
	ck_assert(!identity_is_alive(&identity));
	identity.pid = getpid();
	unit_of_all = "porterd-unit-test.service";
	ck_assert_int_eq(identity_read_unit(&identity), 0);
	ck_assert_ptr_null(identity.unit);
	identity_clear(&identity);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(an_empty_identity_is_nobody),
		UNIT_TEST(parts_are_read_when_needed_and_once),
		UNIT_TEST(the_unit_is_that_of_the_process),
		UNIT_TEST(without_a_pidfd_there_is_no_unit),
		UNIT_TEST(sockets_without_a_peer_say_why),
		UNIT_LOOP(attested_is_who_can_be_named, ELEMENTSOF(attestations)),
		UNIT_TEST(groups_are_searched),
		UNIT_TEST(another_user_is_seen_as_such),
		UNIT_TEST(who_leaves_meanwhile_has_no_unit),
		UNIT_TEST(who_has_left_has_no_unit),
		UNIT_TEST(a_message_brings_an_identity),
		UNIT_TEST(a_sender_that_exited_is_not_alive),
		{ 0 },
	};

	return unit_run("identity", tests, NULL);
}
