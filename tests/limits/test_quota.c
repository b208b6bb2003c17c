/* SPDX-License-Identifier: MIT
 *
 * Quotas: when users are counted, and that nothing of them stays.
 */
#include "tests/porterd/alone.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "serve/connection.h"
#include "tests/base/unit.h"

#define USERS 300
#define CLIENTS_MAX (2 * USERS)

struct fixture {
	struct alone alone;
	int clients[CLIENTS_MAX];
	size_t count;
};

static void fixture_open(struct fixture *fixture, size_t connections_max, size_t user_max)
{
	alone_open(&fixture->alone);
	quota_set(&fixture->alone.daemon.population.quota, connections_max, &(struct quota_settings){ .connections = user_max });
	fixture->count = 0;
}

/* Connects as this user, if the test may. */
static void connect_by(struct fixture *fixture, uid_t uid, const struct protocol *protocol)
{
	uid_t own = geteuid();

	ck_assert(own == uid || seteuid(uid) == 0);
	fixture->clients[fixture->count++] = alone_connect(&fixture->alone, protocol, 0);
	ck_assert(own == uid || seteuid(own) == 0);
}

static void connect_as(struct fixture *fixture, uid_t uid)
{
	connect_by(fixture, uid, &echo_stream_protocol);
}

/* The last one leaves. */
static void leave(struct fixture *fixture)
{
	fd_close(fixture->clients[--fixture->count]);
	alone_settle(&fixture->alone);
}

static void fixture_close(struct fixture *fixture)
{
	while (fixture->count > 0)
		fd_close(fixture->clients[--fixture->count]);
	alone_settle(&fixture->alone);
	ck_assert_uint_eq(fixture->alone.daemon.population.n_connections, 0);
	for (size_t kind = 0; kind < QUOTA_KINDS; kind++)
		ck_assert_uint_eq(fixture->alone.daemon.population.quota.limits[kind].total, 0);
	for (size_t i = 0; i < QUOTA_BUCKETS; i++)
		ck_assert_ptr_null(fixture->alone.daemon.population.quota.users[i]);
	alone_close(&fixture->alone);
}

/* Most connections are never asked whose they are. */
START_TEST(nobody_is_asked_while_nobody_can_have_too_much)
{
	struct fixture fixture;
	const struct population *population = &fixture.alone.daemon.population;

	fixture_open(&fixture, 100, 20);
	for (size_t i = 0; i < 20; i++)
		connect_as(&fixture, geteuid());
	ck_assert(!population->quota.counting);
	LIST_FOR_EACH(&population->connections, struct connection, c, link)
		ck_assert_ptr_null(c->share.user);

	connect_as(&fixture, geteuid());
	ck_assert(population->quota.counting);
	LIST_FOR_EACH(&population->connections, struct connection, c, link)
		ck_assert_ptr_nonnull(c->share.user);
	fixture_close(&fixture);
}
END_TEST

/* Who comes and goes at the limit does not make porterd look at everybody each time. */
START_TEST(counting_goes_on_until_half_have_left)
{
	struct fixture fixture;
	const struct quota *quota = &fixture.alone.daemon.population.quota;

	fixture_open(&fixture, 100, 20);
	for (size_t i = 0; i < 21; i++)
		connect_as(&fixture, geteuid());
	while (fixture.count > 11) {
		leave(&fixture);
		ck_assert(quota->counting);
	}
	leave(&fixture);
	ck_assert(!quota->counting);
	fixture_close(&fixture);
}
END_TEST

/* More users than there are buckets for: each is found again, and each is forgotten. */
START_TEST(many_users_are_told_apart)
{
	struct fixture fixture;
	const struct population *population = &fixture.alone.daemon.population;

	if (geteuid() != 0)
		unit_skip("only root can be many users");
	ck_assert_uint_gt(USERS, QUOTA_BUCKETS);
	fixture_open(&fixture, 2000, 1);
	for (uid_t round = 0; round < 2; round++)
		for (uid_t uid = 0; uid < USERS; uid++)
			connect_as(&fixture, 100000 + uid * 7);
	alone_settle(&fixture.alone);
	/* One of each stays, and the second was refused. */
	ck_assert_uint_eq(population->n_connections, USERS);
	ck_assert_uint_eq(population->quota.refused, USERS);
	fixture_close(&fixture);
}
END_TEST

/* The kernel counts on, so it can't be refused that a closed connection is kept: even if others have taken so much
 * meanwhile that its user may not have another one. */
START_TEST(what_is_unread_counts_whatever_others_have)
{
	const char call[] = "{\"method\":\"io.porterd.Credentials.Get\"}";
	struct fixture fixture;
	struct population *population = &fixture.alone.daemon.population;
	struct connection *connection;

	if (geteuid() != 0)
		unit_skip("only root can be many users");
	fixture_open(&fixture, 4, 3);
	connect_by(&fixture, 1000, &varlink_stream_protocol);
	connection = last_connection(population);
	connect_as(&fixture, 1000);
	/* An answer that its client does not read, with descriptors. */
	ck_assert_int_eq(send(fixture.clients[0], call, sizeof(call), 0), sizeof(call));
	alone_settle(&fixture.alone);
	ck_assert_int_eq(unread_reserve(&population->unread, &connection->share, 5), 0);
	unread_sent(&population->unread, &connection->share);
	connect_as(&fixture, 0);
	connect_as(&fixture, 0);
	ck_assert_uint_eq(population->n_connections, 4);
	ck_assert(population->quota.counting);

	ck_assert_int_eq(shutdown(fixture.clients[0], SHUT_WR), 0);
	alone_settle(&fixture.alone);
	ck_assert_uint_eq(population->n_connections, 4);
	ck_assert(connection->lingers);
	ck_assert_uint_eq(population->quota.limits[QUOTA_DESCRIPTORS].total, 5);
	/* And they are its user's. */
	ck_assert_ptr_nonnull(connection->share.user);
	fixture_close(&fixture);
}
END_TEST

/* Added without a question, as by an answer that is let through, it counts for whoever asks next. */
START_TEST(what_is_added_unasked_is_its_users)
{
	struct fixture fixture;
	struct population *population = &fixture.alone.daemon.population;
	struct quota *quota = &population->quota;

	if (geteuid() != 0)
		unit_skip("only root can be many users");
	fixture_open(&fixture, 100, 20);
	quota_set_limit(quota, QUOTA_DESCRIPTORS, 100, 10);
	connect_as(&fixture, 1000);
	/* As if others had come between. */
	quota->counting = true;
	quota_add(quota, &last_connection(population)->share, QUOTA_DESCRIPTORS, 8);
	connect_as(&fixture, 1000);
	ck_assert_int_eq(quota_take(quota, &last_connection(population)->share, QUOTA_DESCRIPTORS, 3), -EDQUOT);
	ck_assert_int_eq(quota_take(quota, &last_connection(population)->share, QUOTA_DESCRIPTORS, 2), 0);
	fixture_close(&fixture);
}
END_TEST

static int connect_by_tcp(struct alone *alone, int listener)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, size), 0);
	accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(accepted, 0);
	ck_assert_int_eq(connection_add(&alone->daemon.population, &echo_stream_protocol, accepted), 0);
	return client;
}

/* They are one user, and not root. */
START_TEST(clients_whom_the_kernel_cannot_name_share_a_quota)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fixture fixture;

	fixture_open(&fixture, 100, 5);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 16), 0);
	while (fixture.count < 8)
		fixture.clients[fixture.count++] = connect_by_tcp(&fixture.alone, listener);
	alone_settle(&fixture.alone);
	ck_assert_uint_eq(fixture.alone.daemon.population.n_connections, 5);
	fd_close(listener);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(nobody_is_asked_while_nobody_can_have_too_much),
		UNIT_TEST(counting_goes_on_until_half_have_left),
		UNIT_TEST(many_users_are_told_apart),
		UNIT_TEST(what_is_unread_counts_whatever_others_have),
		UNIT_TEST(what_is_added_unasked_is_its_users),
		UNIT_TEST(clients_whom_the_kernel_cannot_name_share_a_quota),
		{ 0 },
	};

	return unit_run("quota", tests, &(struct unit_around){ .seconds = 120 });
}
