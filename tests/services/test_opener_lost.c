/* SPDX-License-Identifier: MIT
 *
 * porterd's side of an opener that goes away, makes no sense, does not answer, or is not there.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/services/opener_fixture.h"

START_TEST(without_a_next_opener_all_are_told)
{
	static struct asked asked[MANY];

	(void)ask_many(asked);
	(void)take(OPENER_FILES_MAX);
	ck_assert_int_eq(unlink(fixture_path("opener")), 0);
	fd_close(TAKE_FD(connection));
	alone_settle(&daemon_around);
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_uint_eq(asked[i].answers, 1);
		ck_assert(asked[i].lost);
	}
}
END_TEST

START_TEST(the_next_opener_gets_what_was_not_sent)
{
	static struct asked asked[MANY];
	size_t sent = ask_many(asked);

	ck_assert_uint_eq(take(OPENER_FILES_MAX), asked[0].call.request.serial);
	fd_close(TAKE_FD(connection));
	alone_settle(&daemon_around);
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_uint_eq(asked[i].answers, i < sent);
		ck_assert_int_eq(asked[i].lost, i < sent);
	}
	for (size_t i = sent; i < MANY; i++) {
		uint64_t serial = take(OPENER_FILES_MAX);

		ck_assert_uint_eq(serial, asked[i].call.request.serial);
		answer(serial, OPENER_OK, "", 0);
		alone_settle(&daemon_around);
		ck_assert_uint_eq(asked[i].answers, 1);
		ck_assert(!asked[i].lost);
	}
}
END_TEST

/* Whoever is told of the loss may ask anew at once, and is not told again. */
START_TEST(asking_anew_goes_to_the_next_opener)
{
	struct asked again = { 0 }, first = { .next = &again };

	ck_assert_int_eq(ask(&first, 1), 0);
	ck_assert_uint_gt(take(1), 0);
	fd_close(TAKE_FD(connection));
	alone_settle(&daemon_around);
	ck_assert_uint_eq(first.answers, 1);
	ck_assert(first.lost);
	ck_assert_uint_eq(again.answers, 0);
	answer(take(1), OPENER_OK, "", 0);
	alone_settle(&daemon_around);
	ck_assert_uint_eq(again.answers, 1);
	ck_assert(!again.lost);
}
END_TEST

/* An opener that went away meanwhile is noticed by asking, and the question goes to the next one. */
START_TEST(a_restarted_opener_is_asked_at_once)
{
	struct asked waiting = { 0 }, asked = { 0 };

	ck_assert_int_eq(ask(&waiting, 1), 0);
	ck_assert_uint_gt(take(1), 0);
	fd_close(TAKE_FD(connection));
	ck_assert_int_eq(ask(&asked, 1), 0);
	ck_assert_uint_eq(waiting.answers, 1);
	ck_assert(waiting.lost);
	answer(take(1), OPENER_OK, "", 0);
	alone_settle(&daemon_around);
	ck_assert_uint_eq(asked.answers, 1);
	ck_assert(!asked.lost);
}
END_TEST

/* Who asks finds the opener gone; another is told of it, and asks for another file before the first is done. */
START_TEST(each_asks_for_its_own_file)
{
	struct asked again = { .from_b = true }, waiting = { .next = &again }, asked = { 0 };

	ck_assert_int_eq(ask(&waiting, 1), 0);
	ck_assert_uint_gt(take(1), 0);
	fd_close(TAKE_FD(connection));
	ck_assert_int_eq(ask(&asked, 1), 0);
	ck_assert(waiting.lost);
	ck_assert_uint_eq(take_from_b(1), again.call.request.serial);
	ck_assert_uint_eq(take(1), asked.call.request.serial);
	opener_call_cancel(&again.call);
	opener_call_cancel(&asked.call);
}
END_TEST

static const struct {
	uint32_t version, text_size;
	size_t size; /* of the text that is sent */
} broken_replies[] = {
	{ OPENER_WIRE_VERSION, 5, 4 },
	{ OPENER_WIRE_VERSION, 4, 5 },
	{ OPENER_WIRE_VERSION, UINT32_MAX, 4 },
	{ OPENER_WIRE_VERSION + 1, 4, 4 },
	{ 0, 4, 4 },
};

START_TEST(an_opener_that_makes_no_sense_is_lost)
{
	struct opener_reply reply = { .version = broken_replies[_i].version, .text_size = broken_replies[_i].text_size };
	struct asked asked = { 0 };
	size_t before;

	ck_assert_int_eq(ask(&asked, 1), 0);
	reply.serial = take(1);
	before = unit_count_fds();
	send_reply(&reply, "12345", broken_replies[_i].size, 3);
	alone_settle(&daemon_around);
	ck_assert_uint_eq(asked.answers, 1);
	ck_assert(asked.lost);
	ck_assert_uint_eq(unit_count_fds(), before - 1); /* its connection */
}
END_TEST

START_TEST(patience_has_an_end)
{
	static struct asked many[MANY];
	struct asked stuck = { 0 }, late = { 0 };

	ck_assert(!opener_client_tick(opener));
	ck_assert_int_eq(ask(&stuck, 1), 0);
	later = 9;
	ck_assert(opener_client_tick(opener));
	ck_assert_int_eq(ask(&late, 1), 0);
	ck_assert_uint_eq(stuck.answers, 0);
	later = 11;
	ck_assert(!opener_client_tick(opener));
	ck_assert(stuck.lost);
	ck_assert(late.lost);
	ck_assert_uint_eq(stuck.answers + late.answers, 2);

	/* Those who wait for room have waited as well. */
	(void)ask_many(many);
	later = 22;
	ck_assert(!opener_client_tick(opener));
	for (size_t i = 0; i < MANY; i++)
		ck_assert(many[i].lost);
}
END_TEST

START_TEST(an_absent_opener_is_complained_of_once_in_a_while)
{
	struct asked asked = { 0 };
	uint64_t before = recorder_counts(daemon_around.recorder).sequence;

	ck_assert_int_eq(unlink(fixture_path("opener")), 0);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(ask(&asked, 1), -ENOENT);
	ck_assert_uint_eq(recorder_counts(daemon_around.recorder).sequence, before + 1);
	later = 11;
	ck_assert_int_eq(ask(&asked, 1), -ENOENT);
	ck_assert_uint_eq(recorder_counts(daemon_around.recorder).sequence, before + 2);
	ck_assert_uint_eq(asked.answers, 0);
	ck_assert(!opener_client_tick(opener));
}
END_TEST

/* There is no event for room in a queue of connections, so nobody can wait for it. */
START_TEST(a_full_queue_of_connections_is_busy)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct asked asked = { 0 };
	int fd;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture_path("opener"));
	do {
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(fd, 0);
	} while (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(ask(&asked, 1), -EBUSY);
	ck_assert_uint_eq(asked.answers, 0);
}
END_TEST

START_TEST(descriptors_that_find_no_room_are_busy)
{
	struct asked asked = { 0 }, other = { 0 };
	struct rlimit limit, narrow;
	uint64_t serial;
	int lowest;

	if (unit_under_valgrind())
		unit_skip("valgrind keeps RLIMIT_NOFILE from the kernel");
	ck_assert_int_eq(ask(&other, 1), 0);
	ck_assert_int_eq(ask(&asked, 1), 0);
	(void)take(1);
	serial = take(1);
	answer(serial, OPENER_OK, "", 2);

	lowest = dup(asker[0]);
	fd_close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	narrow = (struct rlimit){ (rlim_t)lowest, limit.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &narrow), 0);
	alone_settle(&daemon_around);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(asked.answers, 1);
	ck_assert(!asked.lost);
	ck_assert_uint_eq(asked.result, OPENER_BUSY);
	ck_assert_uint_eq(other.answers, 0);
	opener_call_cancel(&other.call);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(without_a_next_opener_all_are_told),
		UNIT_TEST(the_next_opener_gets_what_was_not_sent),
		UNIT_TEST(asking_anew_goes_to_the_next_opener),
		UNIT_TEST(a_restarted_opener_is_asked_at_once),
		UNIT_TEST(each_asks_for_its_own_file),
		UNIT_LOOP(an_opener_that_makes_no_sense_is_lost, ELEMENTSOF(broken_replies)),
		UNIT_TEST(patience_has_an_end),
		UNIT_TEST(an_absent_opener_is_complained_of_once_in_a_while),
		UNIT_TEST(a_full_queue_of_connections_is_busy),
		UNIT_TEST(descriptors_that_find_no_room_are_busy),
		{ 0 },
	};

	return unit_run("opener lost", tests, &(struct unit_around){ opener_setup, opener_teardown, 0 });
}
