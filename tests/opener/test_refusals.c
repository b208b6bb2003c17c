/* SPDX-License-Identifier: MIT
 *
 * Refusals, faster than they are to be recorded.
 */
#include "opener/serving/refusals.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "tests/opener/request_fixture.h"

#define NOW (UINT64_C(1000) * USEC_PER_SEC)

static struct refusals refusals;

/* How many of so many are recorded. */
static unsigned refuse(uid_t uid, unsigned count, uint64_t now)
{
	unsigned recorded = 0;

	for (unsigned i = 0; i < count; i++) {
		struct refused_user *user = refusals_find(&refusals, uid, now);

		if (!refused_user_may_record(user, now))
			continue;
		refused_user_recorded(user, now);
		recorded++;
	}
	return recorded;
}

START_TEST(first_a_burst_then_so_many_a_second)
{
	refusals = (struct refusals){ 0 };
	ck_assert_uint_eq(refuse(1, 5 * REFUSALS_BURST, NOW), REFUSALS_BURST);
	/* Nobody else is concerned. */
	ck_assert_uint_eq(refuse(2, 10, NOW), 10);
	for (unsigned i = 1; i <= 5; i++)
		ck_assert_uint_eq(refuse(1, REFUSALS_BURST, NOW + i * USEC_PER_SEC), REFUSALS_PER_SECOND);
	/* After a while without any it is as it was, also for whoever is still to be told of. */
	ck_assert_uint_eq(refuse(1, 2 * REFUSALS_BURST, NOW + 3600 * USEC_PER_SEC), REFUSALS_BURST);
}
END_TEST

/* What must be recorded, however fast it comes, does not keep other refusals from being recorded for ever. */
START_TEST(what_is_always_recorded_is_forgotten_in_time)
{
	struct refused_user *user;

	refusals = (struct refusals){ 0 };
	user = refusals_find(&refusals, 1, NOW);
	for (unsigned i = 0; i < 100 * REFUSALS_BURST; i++)
		refused_user_recorded(user, NOW);
	ck_assert(!refused_user_may_record(user, NOW));
	ck_assert_uint_eq(refuse(1, 2 * REFUSALS_BURST, NOW + USEC_PER_SEC), REFUSALS_PER_SECOND - 1);
	ck_assert_uint_eq(refuse(1, 2 * REFUSALS_BURST, NOW + 3600 * USEC_PER_SEC), REFUSALS_BURST);
}
END_TEST

/* Many user IDs, as one user with subordinate ones has them, are not many times as much. */
START_TEST(users_who_find_no_place_share_one)
{
	unsigned recorded = 0;

	refusals = (struct refusals){ 0 };
	for (uid_t uid = 1; uid <= 1000; uid++)
		recorded += refuse(uid, 2 * REFUSALS_BURST, NOW);
	ck_assert_uint_eq(recorded, (REFUSALS_USERS + 1) * REFUSALS_BURST);
	/* A place becomes free when its time has passed and what was left out is told. */
	ck_assert_ptr_eq(refusals_find(&refusals, 1001, NOW + 3600 * USEC_PER_SEC), &refusals.others);
	refusals.users[0].untold = 0;
	ck_assert_ptr_eq(refusals_find(&refusals, 1001, NOW), &refusals.others);
	ck_assert_ptr_eq(refusals_find(&refusals, 1001, NOW + 3600 * USEC_PER_SEC), &refusals.users[0]);
}
END_TEST

/* How many of them are recorded. */
static unsigned ask_for_unknown(unsigned count)
{
	unsigned records = 0;

	for (unsigned i = 0; i < count; i++) {
		start(OPENER_OPEN);
		add("no-such-file");
		ck_assert_int_eq(serve(), OPENER_UNKNOWN_FILE);
		records += record()[0] != '\0';
	}
	return records;
}

/* Whoever was granted something has each record of it, whatever they were refused before. */
START_TEST(grants_are_always_recorded)
{
	uint64_t begin = clock_now_usec(), seconds;
	const char *r;
	unsigned records;

	load_three();
	records = ask_for_unknown(3000);
	seconds = (clock_now_usec() - begin) / USEC_PER_SEC + 1;
	if (seconds * REFUSALS_PER_SECOND > 1000)
		unit_skip("this machine is so slow that each has a record");
	ck_assert_uint_ge(records, REFUSALS_BURST);
	ck_assert_uint_le(records, REFUSALS_BURST + seconds * REFUSALS_PER_SECOND);
	ck_assert_uint_eq(service.refused, 3000);

	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_field(record(), "PORTERD_RESULT=granted");

	/* And how many were left out is told. */
	ck_assert(refusals_tell(service.refusals, service.recorder));
	r = record();
	ck_field(r, "MESSAGE_ID=" MESSAGE_ID_REFUSED_MORE);
	ck_number(r, "PORTERD_REFUSED", 3000 - records);
	ck_number(r, "PORTERD_CLIENT_UID", getuid());
	ck_assert(refusals_tell(service.refusals, service.recorder));
	ck_assert_str_eq(record(), "");
}
END_TEST

static void refuse_many(void)
{
	const uint64_t now = clock_now_usec();

	for (unsigned i = 0; i < 2 * REFUSALS_BURST; i++)
		refused_user_recorded(refusals_find(service.refusals, getuid(), now), now);
}

/* What the journal has as granted, and was not, is recorded as refused whatever the rate. */
START_TEST(what_was_recorded_as_granted_is_put_right)
{
	char text[8192];

	(void)snprintf(text, sizeof(text), "%sAuditRequired=yes\n", grant("one", "one"));
	load_three();
	load_text(text);
	refuse_many();
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve_answer(), OPENER_OK);
	ck_field(record(), "PORTERD_RESULT=granted");
	fdset_clear(&response.fds);
	withdraw("for a test");
	serve_rest();
	ck_field(record(), "PORTERD_RESULT=refused");
}
END_TEST

/* Who is not known is nobody with a number. */
START_TEST(clients_whom_nobody_knows_share_one)
{
	struct sockaddr_un own = { .sun_family = AF_UNIX }, address = { .sun_family = AF_UNIX };
	int bound = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), end;

	refusals = (struct refusals){ 0 };
	service.refusals = &refusals;
	/* With an address of its own it could be the listening end, so the kernel is not asked whose it is. */
	(void)stpcpy(own.sun_path, fixture_path("bound"));
	ck_assert_int_eq(bind(bound, (struct sockaddr *)&own, sizeof(own)), 0);
	(void)stpcpy(address.sun_path, fixture_path("listener"));
	ck_assert_int_eq(connect(bound, (struct sockaddr *)&address, sizeof(address)), 0);
	end = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), end), OPENER_NOT_PERMITTED);
	ck_assert_uint_gt(refusals.others.full_usec, 0);
	for (size_t i = 0; i < REFUSALS_USERS; i++)
		ck_assert_uint_eq(refusals.users[i].full_usec, 0);
	(void)close(end);
	(void)close(bound);
}
END_TEST

/* Without a journal nothing is forgotten. */
START_TEST(what_could_not_be_told_is_told_later)
{
	while (record()[0])
		;
	refusals = (struct refusals){ .others = { .untold = 7 } };
	refusals.users[3] = (struct refused_user){ .uid = 42, .untold = 5 };
	ck_assert_int_eq(unlink(fixture_path("journal")), 0);
	ck_assert(!refusals_tell(&refusals, service.recorder));
	ck_assert_uint_eq(refusals.users[3].untold, 5);
	ck_assert_uint_eq(refusals.others.untold, 7);

	(void)close(journal);
	journal = fixture_listen("journal", SOCK_DGRAM);
	ck_assert(refusals_tell(&refusals, service.recorder));
	ck_number(record(), "PORTERD_REFUSED", 5);
	ck_number(record(), "PORTERD_REFUSED", 7);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(first_a_burst_then_so_many_a_second),
		UNIT_TEST(what_is_always_recorded_is_forgotten_in_time),
		UNIT_TEST(users_who_find_no_place_share_one),
		UNIT_TEST(grants_are_always_recorded),
		UNIT_TEST(what_was_recorded_as_granted_is_put_right),
		UNIT_TEST(clients_whom_nobody_knows_share_one),
		UNIT_TEST(what_could_not_be_told_is_told_later),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("refusals", tests, &(struct unit_around){ request_setup, request_teardown, 0 });
}
