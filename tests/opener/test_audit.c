/* SPDX-License-Identifier: MIT
 *
 * AuditRequired=: without a record in the journal nothing is granted.
 */
#include <sys/un.h>

#include "request_fixture.h"

#define UNRECORDED "the journal takes no records"

/* "free" needs no record; "one" and "two" do. */
static void load_audited(void)
{
	char all[8192];

	fixture_write("free", "f", 0600);
	fixture_write("one", "1", 0600);
	fixture_write("two", "2", 0600);
	(void)snprintf(all, sizeof(all), "%sAuditRequired=no\n%sAuditRequired=yes\n%sAuditRequired=yes\n",
		       grant("free", "free"), grant("one", "one"), grant("two", "two"));
	load_text(all);
}

/* Until the journal's queue takes nothing more: each sender has a limit of its own, too. */
static void fill_journal(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t sent;

	(void)stpcpy(address.sun_path, fixture_path("journal"));
	do {
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		for (sent = 0; sendto(fd, "x", 1, 0, (const struct sockaddr *)&address, sizeof(address)) == 1;)
			sent++;
		(void)close(fd);
	} while (sent > 0);
}

/* What others than the opener have sent. */
static void drain(const char *until)
{
	while (strcmp(record(), until) == 0)
		;
}

static void ask(const char *a, const char *b, const char *c)
{
	start(OPENER_OPEN);
	add(a);
	if (b)
		add(b);
	if (c)
		add(c);
}

START_TEST(the_record_is_there_before_the_descriptor)
{
	load_audited();
	ask("one", "free", "two");
	ck_assert_int_eq(serve_answer(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, 3);
	ck_field(record(), "PORTERD_FILE=one");
	ck_field(record(), "PORTERD_FILE=two");
	ck_assert_str_eq(record(), "");

	/* Nobody waits for that of the others. */
	serve_rest();
	ck_field(record(), "PORTERD_FILE=free");
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.granted, 3);
	ck_assert_uint_eq(service.unrecorded, 0);
}
END_TEST

START_TEST(without_a_record_nothing_is_granted)
{
	size_t before;

	load_audited();
	fill_journal();
	before = unit_count_fds();
	ask("one", NULL, NULL);
	for (uint64_t n = 1; n <= 20; n++) {
		ck_assert_int_eq(serve(), OPENER_BUSY);
		ck_assert_ptr_nonnull(strstr(text(), UNRECORDED));
		ck_assert_uint_eq(service.unrecorded, n);
		ck_assert_uint_eq(service.refused, n);
		/* What is dropped is the record of the refusal alone. */
		ck_assert_uint_eq(recorder_counts(service.recorder).dropped, n);
		ck_assert_uint_eq(recorder_counts(service.recorder).sequence, n);
	}
	ck_assert_uint_eq(service.granted, 0);
	forget_clients();
	ck_assert_uint_eq(unit_count_fds(), before);

	/* Others than those that ask for it don't wait for the journal. */
	ask("free", NULL, NULL);
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, 1);

	drain("x");
	ask("one", NULL, NULL);
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, 1);
	ck_field(record(), "PORTERD_FILE=one");
	ck_field(record(), "PORTERD_DROPPED=21");
	ck_assert_uint_eq(service.unrecorded, 20);
}
END_TEST

START_TEST(without_a_journal_nothing_is_granted)
{
	load_audited();
	(void)close(journal);
	ask("one", NULL, NULL);
	ck_assert_int_eq(serve(), OPENER_BUSY);
	journal = -1;
}
END_TEST

/* One that needs a record is enough. */
START_TEST(all_or_none)
{
	static const char *const files[][3] = {
		{ "one", "free", NULL }, { "free", "one", NULL }, { "free", "two", "one" }, { "free", "one", "one" },
	};
	const char *r;

	load_audited();
	fill_journal();
	ask(files[_i][0], files[_i][1], files[_i][2]);
	ck_assert_int_eq(serve(), OPENER_BUSY);
	ck_assert_uint_eq(response.header.index, _i == 0 ? 0 : 1);
	ck_assert_uint_eq(service.granted, 0);
	drain("x");

	/* A refusal for another reason than the journal comes first, and leaves no record of a grant. */
	ask("one", "none", NULL);
	ck_assert_int_eq(serve(), OPENER_UNKNOWN_FILE);
	r = record();
	ck_field(r, "PORTERD_FILE=one");
	ck_field(r, "PORTERD_RESULT=refused");
	ck_assert_uint_eq(service.unrecorded, 1);
}
END_TEST

START_TEST(room_for_one_record_of_two)
{
	load_audited();
	fill_journal();
	ck_assert_str_eq(record(), "x");
	ask("one", "two", NULL);
	ck_assert_int_eq(serve(), OPENER_BUSY);
	ck_assert_uint_eq(response.header.index, 1);
	ck_assert_uint_eq(service.refused, 2);

	/* The records of both refusals were dropped, which the next one that finds room tells. */
	ck_assert_uint_eq(recorder_counts(service.recorder).dropped, 2);
	for (const char *r = "x"; *r == 'x';) {
		r = record();
		if (*r != 'x')
			ck_field(r, "PORTERD_FILE=one");
	}
	ck_assert(recorder_flush(service.recorder));
	ck_field(record(), "PORTERD_DROPPED=2");
}
END_TEST

START_TEST(a_name_that_is_repeated_has_one_record)
{
	load_audited();
	ask("one", "one", "free");
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, 3);
	ck_field(record(), "PORTERD_FILE=one");
	ck_field(record(), "PORTERD_FILE=free");
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.granted, 3);
}
END_TEST

START_TEST(questions_need_no_record)
{
	load_audited();
	fill_journal();
	start(OPENER_CHECK);
	add("one");
	ck_assert_int_eq(serve(), OPENER_OK);
	start(OPENER_LIST);
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.header.count, 3);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(the_record_is_there_before_the_descriptor),
		UNIT_TEST(without_a_record_nothing_is_granted),
		UNIT_TEST(without_a_journal_nothing_is_granted),
		UNIT_LOOP(all_or_none, 4),
		UNIT_TEST(room_for_one_record_of_two),
		UNIT_TEST(a_name_that_is_repeated_has_one_record),
		UNIT_TEST(questions_need_no_record),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("audit", tests, &(struct unit_around){ request_setup, request_teardown, 60 });
}
