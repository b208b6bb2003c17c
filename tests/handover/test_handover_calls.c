/* SPDX-License-Identifier: MIT
 *
 * Calls that the opener has to answer when porterd is started again: descriptors can't be written down, so the call is,
 * and the next porterd asks for them anew. The client gets one answer.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "kernel/sockio.h"
#include "tests/services/opener_fixture.h"
#include "handover/kept.h"

#define OPEN "{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"a\"}}"
#define OPENED "{\"parameters\":{\"descriptor\":0}}"
#define CHECK "{\"method\":\"io.porterd.Credentials.Check\"}"
#define CHECKED "{\"parameters\":{\"satisfied\":true,\"failed\":[]}}"

static struct alone next;
static int client, copy; /* the client's end, and another descriptor of the daemon's, which systemd has */

/* Its own side of the opener has no opener. */
static void let_ask(struct alone *alone)
{
	opener_client_free(alone->daemon.services.opener);
	ck_assert_int_eq(opener_client_new(&alone->daemon.services.opener, &alone->daemon.loop, alone->recorder,
					   fixture_path("opener")), 0);
}

static void setup(void)
{
	opener_setup();
	alone_open(&next);
	let_ask(&daemon_around);
	let_ask(&next);
	client = alone_connect(&daemon_around, &varlink_stream_protocol, 0);
	copy = fcntl(last_connection(&daemon_around.daemon.population)->source.fd, F_DUPFD_CLOEXEC, 0);
	ck_assert_int_ge(copy, 0);
}

static void teardown(void)
{
	fd_close(client);
	alone_close(&next);
	opener_teardown();
}

static void say(const char *text, size_t size)
{
	ck_assert_int_eq(send(client, text, size, 0), (ssize_t)size);
	alone_settle(&daemon_around);
}

/* The question that has come to the opener; returns its serial. */
static uint64_t take_question(void)
{
	struct {
		struct opener_request request;
		char label[OPENER_LABEL_SIZE];
	} packet;
	struct fdset fds;

	int fd = accept4(opener_listener, NULL, NULL, SOCK_CLOEXEC);

	/* Or another one on the same connection. */
	if (fd >= 0) {
		fd_close(connection);
		connection = fd;
	}
	ck_assert_int_ge(connection, 0);
	ck_assert_int_eq((int)sockio_receive_fds(connection, &packet, sizeof(packet), &fds, MSG_DONTWAIT),
			 (int)sizeof(packet));
	fdset_clear(&fds);
	return packet.request.serial;
}

/* Everything that has come to the client, with how many descriptors. */
static size_t hear(char *text, size_t size, size_t *ret_fds)
{
	size_t done = 0;
	struct fdset fds;
	ssize_t got;

	*ret_fds = 0;
	while ((got = sockio_receive_fds(client, text + done, size - done, &fds, MSG_DONTWAIT)) > 0) {
		done += (size_t)got;
		*ret_fds += fds.count;
		fdset_clear(&fds);
		alone_settle(&next);
	}
	return done;
}

static struct leftovers save(void)
{
	struct leftovers kept = { 0 };

	ck_assert_int_eq(varlink_stream_protocol.save(last_connection(&daemon_around.daemon.population), &kept), 0);
	return kept;
}

/* This one ends, and the next goes on with what was kept, which is in the memory of the first. */
static void go_on(const struct leftovers *kept)
{
	ck_assert_int_eq(connection_restore(&next.daemon.population, &varlink_stream_protocol, copy, kept, 0), 0);
	connection_end(last_connection(&daemon_around.daemon.population));
	alone_settle(&daemon_around);
	alone_settle(&next);
}

static void ck_kept(const struct leftovers *kept, const char *unread, size_t size)
{
	ck_assert_uint_eq(kept->unsent_size, 0);
	ck_assert_uint_eq(kept->unread_size, size);
	ck_assert_mem_eq(kept->unread, unread, size);
}

/* The next one's question is answered, and all that the client has heard by then is this, with one descriptor. */
static void ck_ends_with(const char *text, size_t size)
{
	char heard[1000];
	size_t n_fds;

	answer(take_question(), OPENER_OK, "", 1);
	alone_settle(&next);
	ck_assert_uint_eq(hear(heard, sizeof(heard), &n_fds), size);
	ck_assert_mem_eq(heard, text, size);
	ck_assert_uint_eq(n_fds, 1);
}

START_TEST(a_pending_call_is_asked_anew)
{
	static const char calls[] = OPEN "\0" CHECK, replies[] = OPENED "\0" CHECKED;
	struct leftovers kept;

	say(calls, sizeof(calls));
	(void)take_question();
	kept = save();
	ck_kept(&kept, calls, sizeof(calls));

	go_on(&kept);
	ck_ends_with(replies, sizeof(replies));
}
END_TEST

/* The reply with descriptors waits for the client to read the one before. */
START_TEST(a_reply_with_descriptors_is_asked_for_anew)
{
	static const char before[] = CHECK, calls[] = OPEN "\0" CHECK, replies[] = CHECKED "\0" OPENED "\0" CHECKED;
	struct leftovers kept;

	say(before, sizeof(before));
	say(calls, sizeof(calls));
	answer(take_question(), OPENER_OK, "", 1);
	alone_settle(&daemon_around);
	kept = save();
	ck_kept(&kept, calls, sizeof(calls));

	go_on(&kept);
	ck_ends_with(replies, sizeof(replies));
}
END_TEST

/* What a refused call had asked for is not added to what the next one brings: the next porterd would be told of more
 * descriptors than one answer has. */
START_TEST(a_refused_call_leaves_nothing_behind)
{
	static const char calls[] = OPEN "\0" OPEN "\0" OPEN;
	const struct population *population = &daemon_around.daemon.population;

	say(calls, sizeof(calls));
	for (size_t i = 0; i < 2; i++) {
		answer(take_question(), OPENER_UNKNOWN_FILE, "", 0);
		alone_settle(&daemon_around);
	}
	ck_assert_uint_eq(population->quota.limits[QUOTA_DESCRIPTORS].total, 1);
	answer(take_question(), OPENER_OK, "", 1);
	alone_settle(&daemon_around);
	ck_assert_uint_le(last_connection(population)->share.unread, 1);
	ck_assert_uint_eq(population->quota.limits[QUOTA_DESCRIPTORS].total, 1);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(a_pending_call_is_asked_anew),
		UNIT_TEST(a_reply_with_descriptors_is_asked_for_anew),
		UNIT_TEST(a_refused_call_leaves_nothing_behind),
		{ 0 },
	};

	return unit_run("handover of calls", tests, &(struct unit_around){ setup, teardown, 60 });
}
