/* SPDX-License-Identifier: MIT
 *
 * Answers to datagrams: who does not read holds up nobody, and is not waited for for ever.
 */
#include "tests/porterd/alone.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "serve/answers.h"
#include "tests/base/unit.h"

/* A datagram socket bound to an address of the kernel's choice. */
static int make_client(struct sockio_sender *ret)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	*ret = (struct sockio_sender){ .pidfd = -EBADF, .address_size = sizeof(ret->address) };
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&ret->address, &ret->address_size), 0);
	return fd;
}

static size_t count_received(int fd)
{
	size_t count = 0;
	char byte;

	while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
		count++;
	return count;
}

struct fixture {
	struct alone alone;
	struct answers *answers;
	int fd;
};

static void fixture_open(struct fixture *fixture)
{
	struct sockio_sender unused;

	alone_open(&fixture->alone);
	fixture->fd = make_client(&unused);
	ck_assert_int_eq(answers_new(&fixture->answers, &fixture->alone.daemon.population, fixture->fd), 0);
}

static void fixture_close(struct fixture *fixture)
{
	answers_free(fixture->answers);
	fd_close(fixture->fd);
	ck_assert_uint_eq(fixture->alone.daemon.population.n_waiting, 0);
	alone_close(&fixture->alone);
}

/* Fills a client's queue and what may wait for it. */
static void fill(struct fixture *fixture, const struct sockio_sender *client)
{
	for (unsigned i = 0; i < 5000 && fixture->alone.daemon.population.counts.of[COUNT_UNDELIVERABLE] == 0; i++)
		answers_send(fixture->answers, "x", 1, client);
	ck_assert_uint_eq(fixture->alone.daemon.population.counts.of[COUNT_UNDELIVERABLE], 1);
}

START_TEST(a_full_queue_is_tried_again_and_given_up)
{
	struct sockio_sender to_lazy, to_other;
	struct fixture fixture;
	int lazy, other;

	fixture_open(&fixture);
	lazy = make_client(&to_lazy);
	other = make_client(&to_other);

	fill(&fixture, &to_lazy);
	ck_assert_uint_eq(fixture.alone.daemon.population.n_waiting, 8);
	answers_send(fixture.answers, "y", 1, &to_other);
	ck_assert_uint_eq(count_received(other), 1);

	/* It reads at last: what waited comes after what was there. */
	ck_assert_uint_gt(count_received(lazy), 0);
	alone_run_for(&fixture.alone, 60);
	ck_assert_uint_eq(count_received(lazy), 8);
	ck_assert_uint_eq(fixture.alone.daemon.population.n_waiting, 0);
	ck_assert_uint_eq(fixture.alone.daemon.population.counts.of[COUNT_UNDELIVERABLE], 1);

	/* It never does: what waits is dropped and counted. */
	fixture.alone.daemon.population.counts.of[COUNT_UNDELIVERABLE] = 0;
	fill(&fixture, &to_lazy);
	alone_run_for(&fixture.alone, 400);
	ck_assert_uint_eq(fixture.alone.daemon.population.n_waiting, 0);
	ck_assert_uint_eq(fixture.alone.daemon.population.counts.of[COUNT_UNDELIVERABLE], 9);

	fd_close(lazy);
	fd_close(other);
	fixture_close(&fixture);
}
END_TEST

/* Twenty senders fill what may wait for them, as so many users. */
static size_t fill_as_users(uid_t n_users)
{
	struct sockio_sender to[20];
	struct fixture fixture;
	int clients[20];
	size_t waiting;

	fixture_open(&fixture);
	for (uid_t i = 0; i < ELEMENTSOF(clients); i++) {
		clients[i] = make_client(&to[i]);
		to[i].attested = true;
		to[i].credentials = (struct ucred){ .pid = 1, .uid = i % n_users, .gid = 1 };
		fixture.alone.daemon.population.counts.of[COUNT_UNDELIVERABLE] = 0;
		fill(&fixture, &to[i]);
	}
	waiting = fixture.alone.daemon.population.n_waiting;
	for (size_t i = 0; i < ELEMENTSOF(clients); i++)
		fd_close(clients[i]);
	fixture_close(&fixture);
	return waiting;
}

START_TEST(waiting_is_bounded_for_all_together)
{
	ck_assert_uint_eq(fill_as_users(20), 64);
}
END_TEST

START_TEST(waiting_is_bounded_for_one_user)
{
	ck_assert_uint_eq(fill_as_users(1), 16);
	ck_assert_uint_eq(fill_as_users(2), 32);
}
END_TEST

START_TEST(who_is_gone_is_counted)
{
	struct sockio_sender to;
	struct fixture fixture;

	fixture_open(&fixture);
	fd_close(make_client(&to));
	answers_send(fixture.answers, "x", 1, &to);
	ck_assert_uint_eq(fixture.alone.daemon.population.counts.of[COUNT_UNDELIVERABLE], 1);
	ck_assert_uint_eq(fixture.alone.daemon.population.n_waiting, 0);
	fixture_close(&fixture);
}
END_TEST

/* A socket that was bound as bind() makes it with the usual umask: it is said, once in a while, and counted by itself. */
START_TEST(what_may_not_be_written_to_is_told)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char directory[] = "/tmp/porterd-answers-XXXXXX";
	struct fixture fixture;
	struct sockio_sender to = { .pidfd = -EBADF, .attested = true, .address_size = sizeof(address) };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	uint64_t told;

	if (geteuid() != 0)
		unit_skip("only root can be another user");
	fixture_open(&fixture);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chmod(directory, 0755), 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/client", directory);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(chmod(address.sun_path, 0755), 0);
	memcpy(&to.address, &address, sizeof(address));

	told = recorder_counts(fixture.alone.recorder).sequence;
	ck_assert_int_eq(seteuid(65534), 0);
	for (unsigned i = 0; i < 3; i++)
		answers_send(fixture.answers, "x", 1, &to);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_uint_eq(fixture.alone.daemon.population.counts.of[COUNT_UNWRITABLE], 3);
	ck_assert_uint_eq(fixture.alone.daemon.population.counts.of[COUNT_UNDELIVERABLE], 0);
	ck_assert_uint_eq(recorder_counts(fixture.alone.recorder).sequence, told + 1);
	ck_assert_uint_eq(count_received(fd), 0);

	ck_assert_int_eq(chmod(address.sun_path, 0666), 0);
	ck_assert_int_eq(seteuid(65534), 0);
	answers_send(fixture.answers, "x", 1, &to);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_uint_eq(count_received(fd), 1);
	ck_assert_int_eq(unlink(address.sun_path) + rmdir(directory), 0);
	fd_close(fd);
	fixture_close(&fixture);
}
END_TEST

START_TEST(a_full_send_buffer_leaves_room_for_those_who_read)
{
	static char data[30000];
	struct sockio_sender to[40], to_other;
	struct fixture fixture;
	int clients[40], other, small = 400000;

	fixture_open(&fixture);
	ck_assert_int_eq(setsockopt(fixture.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	answers_free(fixture.answers);
	ck_assert_int_eq(answers_new(&fixture.answers, &fixture.alone.daemon.population, fixture.fd), 0);

	for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
		clients[i] = make_client(&to[i]);
		for (unsigned n = 0; n < 10; n++)
			answers_send(fixture.answers, data, sizeof(data), &to[i]);
	}
	other = make_client(&to_other);
	answers_send(fixture.answers, "y", 1, &to_other);
	ck_assert_uint_eq(count_received(other), 1);

	for (size_t i = 0; i < ELEMENTSOF(clients); i++)
		fd_close(clients[i]);
	fd_close(other);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(a_full_queue_is_tried_again_and_given_up),
		UNIT_TEST(waiting_is_bounded_for_all_together),
		UNIT_TEST(waiting_is_bounded_for_one_user),
		UNIT_TEST(who_is_gone_is_counted),
		UNIT_TEST(what_may_not_be_written_to_is_told),
		UNIT_TEST(a_full_send_buffer_leaves_room_for_those_who_read),
		{ 0 },
	};

	return unit_run("answers", tests, &(struct unit_around){ .seconds = 120 });
}
