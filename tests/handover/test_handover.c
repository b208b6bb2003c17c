/* SPDX-License-Identifier: MIT
 *
 * What one porterd writes down of its connections, and how another takes it up. The test is systemd: it keeps the
 * descriptors.
 */
#include "tests/porterd/alone.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "kernel/memfd.h"
#include "kernel/sockio.h"
#include "kernel/sockopt.h"
#include "handover/handover.h"
#include "handover/kept.h"
#include "services/table.h"
#include "tests/base/unit.h"

#define STORE_MAX 1024

/* So many messages with descriptors go through to systemd. */
static unsigned messages_left = UINT_MAX;

int sd_pid_notify_with_fds(pid_t pid, int unset_environment, const char *state, const int *fds, unsigned n_fds)
{
	int (*real)(pid_t, int, const char *, const int *, unsigned);

	if (messages_left == 0)
		return -ECONNREFUSED;
	messages_left--;
	*(void **)&real = dlsym(RTLD_NEXT, "sd_pid_notify_with_fds");
	return real(pid, unset_environment, state, fds, n_fds);
}

/* Takes notifications in a thread, as porterd waits until they were taken. */
struct store {
	int fd;
	pthread_t thread;
	int fds[STORE_MAX];
	size_t count, removals;
};

static void *keep(void *userdata)
{
	struct store *store = userdata;

	for (;;) {
		char text[4096];
		struct fdset fds;
		ssize_t size = sockio_receive_fds(store->fd, text, sizeof(text) - 1, &fds, 0);

		if (size < 0)
			continue;
		text[size] = '\0';
		if (strcmp(text, "end") == 0)
			return NULL;
		if (strcmp(text, "FDSTOREREMOVE=1\nFDNAME=" HANDOVER_NAME) == 0)
			store->removals++;
		for (size_t i = 0; strcmp(text, "FDSTORE=1\nFDNAME=" HANDOVER_NAME "\nFDPOLL=0") == 0 && i < fds.count; i++)
			store->fds[store->count++] = TAKE_FD(fds.fds[i]);
		fdset_clear(&fds);
	}
}

static void store_open(struct store *store)
{
	struct sockaddr_un address;
	unsigned size = unit_make_address(&address, "notify");
	char name[sizeof(address.sun_path) + 1];

	*store = (struct store){ .fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	ck_assert_int_eq(bind(store->fd, (struct sockaddr *)&address, size), 0);
	(void)snprintf(name, sizeof(name), "@%s", address.sun_path + 1);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
	ck_assert_int_eq(pthread_create(&store->thread, NULL, keep, store), 0);
}

static void store_close(struct store *store)
{
	struct sockaddr_un address;
	unsigned size = unit_make_address(&address, "notify");

	ck_assert_int_eq(sendto(store->fd, "end", 3, 0, (struct sockaddr *)&address, size), 3);
	ck_assert_int_eq(pthread_join(store->thread, NULL), 0);
	(void)unsetenv("NOTIFY_SOCKET");
	fd_close(store->fd);
}

/* Two daemons, one after the other. */
struct fixture {
	struct alone before, after;
	struct store store;
};

static void fixture_open(struct fixture *fixture)
{
	alone_open(&fixture->before);
	alone_open(&fixture->after);
	fixture->before.manager.store_room = HANDOVER_MAX + 1;
	store_open(&fixture->store);
}

static void hand_over(struct fixture *fixture)
{
	alone_settle(&fixture->before);
	handover_give(&fixture->before.daemon.population, &fixture->before.manager.master.way);
	alone_settle(&fixture->before);
	handover_forget();
	handover_take(&fixture->after.daemon.population, service_find, fixture->store.fds, fixture->store.count);
	alone_settle(&fixture->after);
}

static void fixture_close(struct fixture *fixture)
{
	store_close(&fixture->store);
	alone_close(&fixture->before);
	alone_close(&fixture->after);
}

static size_t receive(int fd, char *buffer, size_t size)
{
	size_t done = 0;
	ssize_t got;

	while (done < size && (got = recv(fd, buffer + done, size - done, MSG_DONTWAIT)) > 0)
		done += (size_t)got;
	return done;
}

START_TEST(a_quiet_connection_goes_on)
{
	static const struct protocol *const protocols[] = {
		&echo_stream_protocol,
		&echo_packet_protocol,
		&varlink_stream_protocol,
		&credentials_packet_protocol,
	};
	const struct protocol *protocol = protocols[_i];
	const char *call = "{\"method\":\"io.porterd.Credentials.Get\"}";
	size_t size = strlen(call) + (protocol == &varlink_stream_protocol);
	struct fixture fixture;
	char before[4096], after[4096];
	size_t got;
	int fd;

	fixture_open(&fixture);
	fd = alone_connect(&fixture.before, protocol, 0);
	ck_assert_int_eq(send(fd, call, size, 0), (ssize_t)size);
	alone_settle(&fixture.before);
	got = receive(fd, before, sizeof(before));
	ck_assert_uint_gt(got, 0);

	hand_over(&fixture);
	ck_assert_uint_eq(fixture.before.daemon.population.n_connections, 0);
	ck_assert_uint_eq(fixture.after.daemon.population.n_connections, 1);
	/* Nothing is sent twice, and the connection has not ended. */
	ck_assert_int_eq(recv(fd, after, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(send(fd, call, size, 0), (ssize_t)size);
	alone_settle(&fixture.after);
	ck_assert_uint_eq(receive(fd, after, sizeof(after)), got);
	ck_assert_mem_eq(before, after, got);

	fd_close(fd);
	alone_settle(&fixture.after);
	ck_assert_uint_eq(fixture.after.daemon.population.n_connections, 0);
	fixture_close(&fixture);
	ck_assert_uint_eq(fixture.store.removals, 1);
}
END_TEST

/* Copied or in a pipe, whatever the client did not take comes after the restart, and then the rest. */
START_TEST(a_stream_loses_nothing)
{
	static unsigned char sent[1900000], got[sizeof(sent)];
	size_t n_sent = 0, n_got = 0;
	struct fixture fixture;
	int fd;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (unsigned char)(i * 31 + i / 251);
	fixture_open(&fixture);
	fd = alone_connect(&fixture.before, &echo_stream_protocol, _i == 0 ? 4096 : 0);
	/* Large pieces that are taken at once lead to splicing. */
	for (size_t i = 0; i < 8 && _i == 1; i++) {
		n_sent += (size_t)send(fd, sent + n_sent, 60000, MSG_DONTWAIT);
		alone_settle(&fixture.before);
		n_got += receive(fd, (char *)got + n_got, sizeof(got) - n_got);
	}
	for (ssize_t n; (n = send(fd, sent + n_sent, sizeof(sent) - n_sent, MSG_DONTWAIT)) > 0; n_sent += (size_t)n)
		alone_settle(&fixture.before);
	ck_assert_uint_lt(n_got, n_sent);
	ck_assert_uint_lt(n_sent, sizeof(sent));

	hand_over(&fixture);
	ck_assert_uint_eq(fixture.after.daemon.population.n_connections, 1);
	while (n_got < sizeof(sent)) {
		ssize_t n = n_sent < sizeof(sent) ? send(fd, sent + n_sent, sizeof(sent) - n_sent, MSG_DONTWAIT) : 0;

		if (n > 0 && (n_sent += (size_t)n) == sizeof(sent))
			ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
		alone_settle(&fixture.after);
		n = (ssize_t)receive(fd, (char *)got + n_got, sizeof(got) - n_got);
		ck_assert(n > 0 || n_sent < sizeof(sent));
		n_got += (size_t)n;
	}
	ck_assert_mem_eq(sent, got, sizeof(sent));
	alone_settle(&fixture.after);
	ck_assert_int_eq(recv(fd, got, 1, MSG_DONTWAIT), 0);
	fd_close(fd);
	fixture_close(&fixture);
}
END_TEST

/* Of one piece a part was sent at once, a part when the client had read that, and the rest is kept: nothing twice. */
START_TEST(a_stream_gets_nothing_twice)
{
	const int large = 200000;
	static unsigned char sent[30000], got[sizeof(sent) + 1];
	struct fixture fixture;
	size_t n_got;
	int fd;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (unsigned char)(i * 31 + i / 251);
	fixture_open(&fixture);
	fd = alone_connect(&fixture.before, &echo_stream_protocol, 4096);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large)), 0);
	ck_assert_int_eq(send(fd, sent, sizeof(sent), MSG_DONTWAIT), (ssize_t)sizeof(sent));
	alone_settle(&fixture.before);
	n_got = receive(fd, (char *)got, sizeof(got));
	alone_settle(&fixture.before);
	ck_assert_uint_lt(n_got, sizeof(sent));

	hand_over(&fixture);
	for (size_t n; (n = receive(fd, (char *)got + n_got, sizeof(got) - n_got)) > 0; n_got += n)
		alone_settle(&fixture.after);
	ck_assert_uint_eq(n_got, sizeof(sent));
	ck_assert_mem_eq(sent, got, sizeof(sent));
	fd_close(fd);
	fixture_close(&fixture);
}
END_TEST

/* An empty packet that was not taken is one, too. */
START_TEST(packets_keep_their_order)
{
	const size_t sizes[] = { 3000, 0, 5, 0, 3000, 0, 0, 1 };
	struct fixture fixture;
	char packet[4000] = { 0 };
	size_t n_sent = 0;
	int fd;

	fixture_open(&fixture);
	fd = alone_connect(&fixture.before, &echo_packet_protocol, 4608);
	for (; n_sent < 1000; n_sent++) {
		if (send(fd, packet, sizes[n_sent % ELEMENTSOF(sizes)], MSG_DONTWAIT) < 0)
			break;
		alone_settle(&fixture.before);
	}
	ck_assert_uint_lt(n_sent, 1000);

	hand_over(&fixture);
	for (size_t i = 0; i < n_sent; i++) {
		ck_assert_int_eq(recv(fd, packet, sizeof(packet), MSG_DONTWAIT), (ssize_t)sizes[i % ELEMENTSOF(sizes)]);
		alone_settle(&fixture.after);
	}
	ck_assert_int_eq(recv(fd, packet, 1, MSG_DONTWAIT), -1);
	fd_close(fd);
	fixture_close(&fixture);
}
END_TEST

/* Whole calls that nobody has looked at yet, because earlier answers were not taken, and half of one. */
START_TEST(calls_are_answered_once)
{
	const char call[] = "{\"method\":\"org.varlink.service.GetInfo\"}";
	struct fixture fixture;
	char answers[100000];
	size_t n_sent = 0, size = 0, n_answers = 0;
	int fd;

	fixture_open(&fixture);
	fd = alone_connect(&fixture.before, &varlink_stream_protocol, 8192);
	while (send(fd, call, sizeof(call), MSG_DONTWAIT) == (ssize_t)sizeof(call)) {
		n_sent++;
		alone_settle(&fixture.before);
	}
	ck_assert_uint_gt(n_sent, 10);

	hand_over(&fixture);
	for (size_t got; (got = receive(fd, answers + size, sizeof(answers) - size)) > 0; size += got)
		alone_settle(&fixture.after);
	for (size_t i = 0; i < size; i++)
		n_answers += answers[i] == '\0';
	ck_assert_uint_eq(n_answers, n_sent);
	ck_assert_int_eq(answers[size - 1], '\0');

	ck_assert_int_eq(send(fd, call, 10, 0), 10);
	alone_settle(&fixture.after);
	fd_close(fd);
	fixture_close(&fixture);
}
END_TEST

/* What comes while the others are still waited for is served by the next, or by this one if that takes nobody. */
START_TEST(what_comes_meanwhile_is_served_once)
{
	struct fixture fixture;
	char bytes[10];
	int fds[2];

	fixture_open(&fixture);
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		fds[i] = alone_connect(&fixture.before, &echo_stream_protocol, 0);
	fixture.before.daemon.population.frozen = true;
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		ck_assert_int_eq(send(fds[i], "bytes", 5, 0), 5);
	alone_settle(&fixture.before);
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		ck_assert_int_eq(recv(fds[i], bytes, sizeof(bytes), MSG_DONTWAIT), -1);

	fixture.before.manager.store_room = 2;
	hand_over(&fixture);
	ck_assert_uint_eq(fixture.after.daemon.population.n_connections, 1);
	ck_assert_uint_eq(fixture.before.daemon.population.n_connections, 1);
	fixture.before.daemon.population.frozen = false;
	connection_thaw(last_connection(&fixture.before.daemon.population));
	alone_settle(&fixture.before);
	for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
		ck_assert_int_eq(recv(fds[i], bytes, sizeof(bytes), MSG_DONTWAIT), 5);
		ck_assert_int_eq(send(fds[i], "more", 4, 0), 4);
	}
	alone_settle(&fixture.before);
	alone_settle(&fixture.after);
	for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
		ck_assert_int_eq(recv(fds[i], bytes, sizeof(bytes), MSG_DONTWAIT), 4);
		fd_close(fds[i]);
	}
	fixture_close(&fixture);
}
END_TEST

/* No more than the store takes, less one for what is written. */
START_TEST(the_rest_stays)
{
	struct fixture fixture;
	int fds[4];

	fixture_open(&fixture);
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		fds[i] = alone_connect(&fixture.before, &echo_stream_protocol, 0);
	fixture.before.manager.store_room = _i == 0 ? 3 : _i == 1 ? 1 : 0;
	hand_over(&fixture);
	ck_assert_uint_eq(fixture.after.daemon.population.n_connections, _i == 0 ? 2 : 0);
	ck_assert_uint_eq(fixture.before.daemon.population.n_connections, _i == 0 ? 2 : 4);
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		fd_close(fds[i]);
	fixture_close(&fixture);
}
END_TEST

START_TEST(without_systemd_all_stay)
{
	struct fixture fixture;
	int fd;

	fixture_open(&fixture);
	(void)unsetenv("NOTIFY_SOCKET");
	fd = alone_connect(&fixture.before, &echo_stream_protocol, 0);
	hand_over(&fixture);
	ck_assert_uint_eq(fixture.before.daemon.population.n_connections, 1);
	fd_close(fd);
	fixture_close(&fixture);
}
END_TEST

/* It has what was written down, and none of the connections: they go on here. */
START_TEST(what_systemd_does_not_take_stays)
{
	struct fixture fixture;
	char byte;
	int fd;

	fixture_open(&fixture);
	fd = alone_connect(&fixture.before, &echo_stream_protocol, 0);
	messages_left = 1;
	hand_over(&fixture);
	ck_assert_uint_eq(messages_left, 0);
	ck_assert_uint_eq(fixture.before.daemon.population.n_connections, 1);
	ck_assert_int_eq(send(fd, "x", 1, 0), 1);
	alone_settle(&fixture.before);
	ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
	fd_close(fd);
	fixture_close(&fixture);
	messages_left = UINT_MAX;
}
END_TEST

/* Three users who came one after the other, and go on in the other order, in which the third would have taken what
 * was left for the first. */
START_TEST(whoever_was_admitted_stays)
{
	static const struct { uid_t uid; size_t count; } users[] = { { 100001, 10 }, { 100002, 10 }, { 100003, 5 } };
	struct fixture fixture;
	int fds[25];
	size_t count = 0;

	if (geteuid() != 0)
		unit_skip("only root can be many users");
	fixture_open(&fixture);
	quota_set(&fixture.before.daemon.population.quota, 40, &(struct quota_settings){ .connections = 10 });
	quota_set(&fixture.after.daemon.population.quota, 30, &(struct quota_settings){ .connections = 10 });
	for (size_t i = 0; i < ELEMENTSOF(users); i++) {
		for (size_t n = 0; n < users[i].count; n++) {
			ck_assert_int_eq(seteuid(users[i].uid), 0);
			fds[count++] = alone_connect(&fixture.before, &echo_stream_protocol, 0);
			ck_assert_int_eq(seteuid(0), 0);
		}
	}
	ck_assert_uint_eq(fixture.before.daemon.population.n_connections, count);
	hand_over(&fixture);
	ck_assert_uint_eq(fixture.after.daemon.population.n_connections, count);
	/* But not more. */
	ck_assert_int_eq(seteuid(users[0].uid), 0);
	fd_close(alone_connect(&fixture.after, &echo_stream_protocol, 0));
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_uint_eq(fixture.after.daemon.population.quota.refused, 1);
	for (size_t i = 0; i < count; i++)
		fd_close(fds[i]);
	alone_settle(&fixture.after);
	ck_assert_uint_eq(fixture.after.daemon.population.quota.limits[QUOTA_CONNECTIONS].total, 0);
	fixture_close(&fixture);
}
END_TEST

/* What lies in the store without a word about it is closed, and so is what has a file that could still change. */
START_TEST(strangers_are_closed)
{
	const struct kept kept = { .name = "echo", .type = SOCK_STREAM };
	struct kept known = kept;
	struct fixture fixture;
	int pair[2], fds[2];
	char byte;

	fixture_open(&fixture);
	/* Of another type than the file says, or, as in all other cases, one that blocks. */
	ck_assert_int_eq(socketpair(AF_UNIX, (_i == 5 ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, pair), 0);
	fds[0] = pair[1];
	fds[1] = memfd_new("test");
	ck_assert_int_ge(fds[1], 0);
	ck_assert_int_eq(sockopt_cookie(pair[1], &known.cookie), 0);
	if (_i == 2)
		known.cookie++;
	if (_i == 3)
		known.name = "nothing";
	if (_i == 4)
		known.type = SOCK_DGRAM;
	ck_assert_int_eq(kept_write_header(fds[1]), 0);
	ck_assert_int_eq(kept_write(fds[1], &known), 0);
	if (_i != 1)
		ck_assert_int_eq(memfd_seal(fds[1]), 0);

	handover_take(&fixture.after.daemon.population, service_find, fds, ELEMENTSOF(fds));
	alone_settle(&fixture.after);
	ck_assert_uint_eq(fixture.after.daemon.population.n_connections, _i == 0);
	if (_i == 0)
		ck_assert_int_ne(fcntl(pair[1], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(recv(pair[0], &byte, 1, MSG_DONTWAIT), _i == 0 ? -1 : 0);
	fd_close(pair[0]);
	alone_settle(&fixture.after);
	fixture_close(&fixture);
}
END_TEST

/* One whose connection goes on, and one whose connection had ended before. */
START_TEST(unread_descriptors_are_counted_on)
{
	const char call[] = "{\"method\":\"io.porterd.Credentials.Get\"}";
	struct fixture fixture;
	struct population *before = &fixture.before.daemon.population, *after = &fixture.after.daemon.population;
	char answer[4096];
	int fds[2];

	fixture_open(&fixture);
	for (size_t i = 0; i < 2; i++) {
		fds[i] = alone_connect(&fixture.before, &varlink_stream_protocol, 0);
		ck_assert_int_eq(send(fds[i], call, sizeof(call), 0), sizeof(call));
		alone_settle(&fixture.before);
		ck_assert_int_eq(unread_reserve(&before->unread, &last_connection(before)->share, 3 + i), 0);
		unread_sent(&before->unread, &last_connection(before)->share);
	}
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	alone_settle(&fixture.before);
	ck_assert(last_connection(before)->lingers);

	before->closing = true;
	hand_over(&fixture);
	ck_assert_uint_eq(after->n_connections, 2);
	ck_assert_uint_eq(after->quota.limits[QUOTA_DESCRIPTORS].total, 7);
	LIST_FOR_EACH(&after->connections, struct connection, c, link)
		ck_assert_uint_eq(c->share.unread, c->lingers ? 4 : 3);

	/* The one ends when it is read, the other goes on. */
	for (size_t i = 0; i < 2; i++)
		ck_assert_uint_gt(receive(fds[i], answer, sizeof(answer)), 0);
	ck_assert_int_eq(recv(fds[1], answer, 1, MSG_DONTWAIT), 0);
	ck_assert_int_eq(send(fds[0], call, sizeof(call), 0), sizeof(call));
	alone_settle(&fixture.after);
	ck_assert_uint_gt(receive(fds[0], answer, sizeof(answer)), 0);
	ck_assert_uint_eq(after->n_connections, 1);
	ck_assert_uint_eq(after->quota.limits[QUOTA_DESCRIPTORS].total, 3);
	fd_close(fds[0]);
	fd_close(fds[1]);
	alone_settle(&fixture.after);
	ck_assert_uint_eq(after->quota.limits[QUOTA_DESCRIPTORS].total, 0);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(a_quiet_connection_goes_on, 4),
		UNIT_LOOP(a_stream_loses_nothing, 2),
		UNIT_TEST(a_stream_gets_nothing_twice),
		UNIT_TEST(packets_keep_their_order),
		UNIT_TEST(calls_are_answered_once),
		UNIT_TEST(what_comes_meanwhile_is_served_once),
		UNIT_LOOP(the_rest_stays, 3),
		UNIT_TEST(without_systemd_all_stay),
		UNIT_TEST(what_systemd_does_not_take_stays),
		UNIT_TEST(whoever_was_admitted_stays),
		UNIT_TEST(unread_descriptors_are_counted_on),
		UNIT_LOOP(strangers_are_closed, 6),
		{ 0 },
	};

	return unit_run("handover", tests, NULL);
}
