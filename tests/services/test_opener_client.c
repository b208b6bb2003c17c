/* SPDX-License-Identifier: MIT
 *
 * porterd's side of the opener: questions, their order, and answers that find them.
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/services/opener_fixture.h"

START_TEST(a_question_is_answered)
{
	struct asked asked = { 0 };
	uint64_t serial;
	size_t before;

	ck_assert_int_eq(ask(&asked, 2), 0);
	serial = take(2);
	ck_assert_uint_eq(serial, asked.call.request.serial);
	alone_settle(&daemon_around);
	ck_assert_uint_eq(asked.answers, 0);

	before = unit_count_fds();
	answer(serial, OPENER_OK, "", 2);
	alone_settle(&daemon_around);
	ck_assert_uint_eq(asked.answers, 1);
	ck_assert(!asked.lost);
	ck_assert_uint_eq(asked.n_fds, 2);
	ck_assert_uint_eq(unit_count_fds(), before);

	ck_assert_int_eq(ask(&asked, 1), 0);
	answer(take(1), OPENER_NOT_PERMITTED, "a reason", 0);
	alone_settle(&daemon_around);
	ck_assert_uint_eq(asked.answers, 2);
	ck_assert_uint_eq(asked.result, OPENER_NOT_PERMITTED);
	ck_assert_str_eq(asked.text, "a reason");
}
END_TEST

/* Nothing of a question is left in the next one. */
START_TEST(labels_are_padded)
{
	static const char *const names[] = { "a-much-longer-name", "another" };
	struct asked first = { .call.done = asked_done }, second = { 0 };
	char packet[sizeof(struct opener_request) + 2 * OPENER_LABEL_SIZE];

	ck_assert_int_eq(opener_call_start(&first.call, opener, OPENER_CHECK, names, 2, 0, asker[1]), 0);
	connection = accept4(opener_listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_eq((int)recv(connection, packet, sizeof(packet), 0), (int)sizeof(packet));
	ck_assert_str_eq(packet + sizeof(struct opener_request), names[0]);
	opener_call_cancel(&first.call);

	ck_assert_int_eq(ask(&second, 2), 0);
	ck_assert_uint_eq(take(2), second.call.request.serial);
	opener_call_cancel(&second.call);
}
END_TEST

START_TEST(answers_find_their_question)
{
	struct asked first = { 0 }, second = { 0 }, gone = { 0 };
	uint64_t serials[3];
	size_t before;

	ck_assert_int_eq(ask(&first, 1), 0);
	ck_assert_int_eq(ask(&gone, 1), 0);
	ck_assert_int_eq(ask(&second, 1), 0);
	for (size_t i = 0; i < 3; i++)
		serials[i] = take(1);
	before = unit_count_fds();
	opener_call_cancel(&gone.call);
	opener_call_cancel(&gone.call);

	answer(serials[2], OPENER_OK, "second", 1);
	answer(serials[1], OPENER_OK, "gone", 1);
	answer(4711, OPENER_OK, "nobody's", 1);
	answer(serials[0], OPENER_OK, "first", 1);
	alone_settle(&daemon_around);
	ck_assert_str_eq(first.text, "first");
	ck_assert_str_eq(second.text, "second");
	ck_assert_uint_eq(first.answers + second.answers, 2);
	ck_assert_uint_eq(gone.answers, 0);
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(questions_wait_in_their_order)
{
	static struct asked asked[MANY];
	size_t sent = ask_many(asked), taken = 0;

	/* The first one that waits, one behind it, the last one; and one that was sent. */
	opener_call_cancel(&asked[sent].call);
	opener_call_cancel(&asked[sent + 2].call);
	opener_call_cancel(&asked[MANY - 1].call);
	opener_call_cancel(&asked[0].call);

	for (size_t i = 0; i < MANY; i++) {
		uint64_t serial;

		if (i == sent || i == sent + 2 || i == MANY - 1)
			continue;
		serial = take(OPENER_FILES_MAX);
		if (serial == 0) {
			alone_settle(&daemon_around);
			serial = take(OPENER_FILES_MAX);
		}
		ck_assert_uint_eq(serial, asked[i].call.request.serial);
		answer(serial, OPENER_OK, "", 0);
		taken++;
		alone_settle(&daemon_around);
		ck_assert_uint_eq(asked[i].answers, i > 0);
	}
	ck_assert_uint_eq(taken, MANY - 3);
	ck_assert_uint_eq(take(OPENER_FILES_MAX), 0);
	ck_assert(!opener_client_tick(opener));
}
END_TEST

/* There is room for it, but not past those who wait. */
START_TEST(nobody_passes_who_waits)
{
	static struct asked asked[MANY];
	size_t sent = ask_many(asked);
	struct asked small = { 0 };

	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(take(OPENER_FILES_MAX), asked[i].call.request.serial);
	ck_assert_int_eq(ask(&small, 1), 0);
	ck_assert(!small.call.sent);
	for (size_t i = 3; i < MANY; i++) {
		ck_assert_uint_eq(take(OPENER_FILES_MAX), asked[i].call.request.serial);
		if (i + 1 >= sent)
			alone_settle(&daemon_around);
	}
	ck_assert_uint_eq(take(1), small.call.request.serial);
	opener_call_cancel(&small.call);
}
END_TEST

START_TEST(a_path_may_be_too_long)
{
	struct opener_client *other = NULL;
	char path[200];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(opener_client_new(&other, &daemon_around.daemon.loop, daemon_around.recorder, path), -ENAMETOOLONG);
	ck_assert_ptr_null(other);
	opener_client_free(NULL);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(a_question_is_answered),
		UNIT_TEST(labels_are_padded),
		UNIT_TEST(answers_find_their_question),
		UNIT_TEST(questions_wait_in_their_order),
		UNIT_TEST(nobody_passes_who_waits),
		UNIT_TEST(a_path_may_be_too_long),
		{ 0 },
	};

	return unit_run("opener client", tests, &(struct unit_around){ opener_setup, opener_teardown, 0 });
}
