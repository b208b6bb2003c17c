/* SPDX-License-Identifier: MIT
 *
 * Records as journald gets them, from a journald that reads when the test wants it to.
 */
#include "record/record.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "kernel/sockio.h"
#include "kernel/sockopt.h"
#include "record/message_id.h"
#include "tests/base/unit.h"
#include "tests/record/journal.h"

static const struct {
	const char *bytes;
	size_t size;
} values[] = {
	{ "plain", 5 },
	{ "", 0 },
	{ "a=b", 3 },
	{ "=", 1 },
	{ "\n", 1 },
	{ "one\ntwo\n", 8 },
	{ "\n\n\n", 3 },
	{ "MESSAGE=forged", 14 },
	{ "x\nMESSAGE=forged\nPRIORITY=0\n", 28 },
	{ "a\0b", 3 },
	{ "\0", 1 },
	{ "a\0\nb", 4 },
	{ "\xff\xfe\x80", 3 },
	{ "\x1b[31m", 5 },
};

static struct journal journal;
static struct recorder *recorder;
static size_t fds_before;

static void setup(void)
{
	fds_before = unit_count_fds();
	journal_new(&journal);
	journal_start(&journal);
	ck_assert_int_eq(recorder_new_journal(&recorder, "unit-test", journal.path), 0);
}

/* Nothing is left of either. */
static void teardown(void)
{
	recorder = recorder_free(recorder);
	journal_remove(&journal);
	ck_assert_uint_eq(unit_count_fds(), fds_before);
}

START_TEST(values_arrive_as_they_are)
{
	static const char *const parts[] = { NULL, "a", "", "\n", NULL, "b" };
	struct entry *entry;

	record_begin(recorder, LOG_NOTICE, MESSAGE_ID_GRANTED);
	record_field(recorder, "MESSAGE", "hello");
	record_bytes(recorder, "PORTERD_FILE", values[_i].bytes, values[_i].size);
	record_field(recorder, "PORTERD_PATH", NULL);
	record_number(recorder, "PORTERD_DEVICE", INT64_MIN);
	record_number(recorder, "PORTERD_INODE", INT64_MAX);
	record_format(recorder, "PORTERD_REASON", "%d of %s", 3, "four\nfive");
	record_joined(recorder, "PORTERD_ACCESS", parts, ELEMENTSOF(parts));
	record_joined(recorder, "PORTERD_RESULT", parts, 0);
	ck_assert(record_submit(recorder));

	ck_assert(journal_read(&journal, &entry));
	ck_assert(!entry->by_memfd);
	entry_assert_text(entry, "PRIORITY", "5");
	entry_assert_text(entry, "SYSLOG_IDENTIFIER", "unit-test");
	entry_assert_text(entry, "MESSAGE_ID", MESSAGE_ID_GRANTED);
	entry_assert_text(entry, "MESSAGE", "hello");
	entry_assert_field(entry, "PORTERD_FILE", values[_i].bytes, values[_i].size);
	entry_assert_text(entry, "PORTERD_DEVICE", "-9223372036854775808");
	entry_assert_text(entry, "PORTERD_INODE", "9223372036854775807");
	entry_assert_text(entry, "PORTERD_REASON", "3 of four\nfive");
	entry_assert_text(entry, "PORTERD_ACCESS", "a\nb");
	entry_assert_text(entry, "PORTERD_RESULT", "");
	entry_assert_text(entry, "PORTERD_SEQUENCE", "1");
	ck_assert_uint_eq(entry->n_fields, 11);
	entry_free(entry);

	ck_assert(!journal_read(&journal, &entry));
}
END_TEST

START_TEST(records_are_numbered)
{
	struct entry *entry;

	ck_assert_uint_eq(recorder_counts(recorder).sequence, 0);
	for (uint64_t n = 1; n <= 30; n++) {
		record_message(recorder, LOG_INFO, "number %d", (int)n);
		ck_assert(journal_read(&journal, &entry));
		ck_assert_uint_eq(entry_number(entry, "PORTERD_SEQUENCE"), n);
		ck_assert_uint_eq(entry->n_fields, 4);
		entry_free(entry);
	}
	ck_assert_uint_eq(recorder_counts(recorder).sequence, 30);
	ck_assert_uint_eq(recorder_counts(recorder).dropped, 0);
	ck_assert(recorder_flush(recorder));
	ck_assert(!journal_read(&journal, &entry));
}
END_TEST

START_TEST(values_are_bounded)
{
	const char *parts[] = { "v", NULL, "v" };
	size_t size = RECORD_VALUE_MAX + 1000;
	char *value = malloc(size);
	struct entry *entry;

	memset(value, 'v', size - 1);
	value[size - 1] = '\0';
	record_begin(recorder, LOG_INFO, NULL);
	record_field(recorder, "A", value);
	record_bytes(recorder, "B", value, RECORD_VALUE_MAX);
	record_format(recorder, "C", "%s", value);
	parts[1] = value;
	record_joined(recorder, "E", parts, ELEMENTSOF(parts));
	value[10] = '\n';
	record_bytes(recorder, "D", value, size);
	value[10] = 'v';
	ck_assert(record_submit(recorder));

	ck_assert(journal_read(&journal, &entry));
	entry_assert_field(entry, "A", value, RECORD_VALUE_MAX);
	entry_assert_field(entry, "B", value, RECORD_VALUE_MAX);
	entry_assert_field(entry, "C", value, RECORD_VALUE_MAX);
	entry_assert_field(entry, "E", value, RECORD_VALUE_MAX);
	value[10] = '\n';
	entry_assert_field(entry, "D", value, RECORD_VALUE_MAX);
	entry_free(entry);
	free(value);
}
END_TEST

/* The journal's queue may be as short as ten. */
START_TEST(held_records_come_together_in_their_order)
{
	size_t n_values = sockopt_packet_max() / RECORD_VALUE_MAX + 2;
	char value[RECORD_VALUE_MAX];
	struct entry *entry;

	memset(value, 'v', sizeof(value));
	record_hold(recorder);
	for (int n = 1; n <= 3; n++)
		record_message(recorder, LOG_INFO, "number %d", n);
	ck_assert(!journal_read(&journal, &entry));
	/* One that is too large for a datagram, and so for being held for long. */
	record_begin(recorder, LOG_INFO, NULL);
	for (size_t i = 0; i < n_values; i++)
		record_bytes(recorder, "V", value, sizeof(value));
	(void)record_submit(recorder);
	record_message(recorder, LOG_INFO, "number 5");
	record_release(recorder);
	record_message(recorder, LOG_INFO, "number 6");
	for (uint64_t n = 1; n <= 6; n++) {
		ck_assert(journal_read(&journal, &entry));
		ck_assert_uint_eq(entry_number(entry, "PORTERD_SEQUENCE"), n);
		ck_assert(entry->by_memfd == (n == 4));
		ck_assert_uint_eq(entry->n_fields, n == 4 ? n_values + 3 : 4);
		entry_free(entry);
	}
	ck_assert(!journal_read(&journal, &entry));
	ck_assert_uint_eq(recorder_counts(recorder).dropped, 0);
	record_hold(recorder);
	record_release(recorder);
	ck_assert(!journal_read(&journal, &entry));
}
END_TEST

START_TEST(held_records_that_find_no_room_are_counted)
{
	enum { HELD = 2000 };
	struct entry *entry;
	uint64_t came = 0, dropped;

	record_hold(recorder);
	for (int n = 0; n < HELD; n++)
		record_message(recorder, LOG_INFO, "held");
	record_release(recorder);
	dropped = recorder_counts(recorder).dropped;
	ck_assert_uint_gt(dropped, 0);
	while (journal_read(&journal, &entry)) {
		came++;
		entry_free(entry);
	}
	/* Records of drops in between found no room either: they are no records of their own then. */
	ck_assert_uint_eq(came + dropped, HELD);
	ck_assert(recorder_flush(recorder));
	ck_assert(journal_read(&journal, &entry));
	ck_assert_uint_eq(entry_number(entry, "PORTERD_DROPPED"), dropped);
	ck_assert_uint_eq(entry_number(entry, "PORTERD_SEQUENCE"), HELD + 1);
	entry_free(entry);
}
END_TEST

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

START_TEST(a_full_journal_drops_and_tells)
{
	struct entry *entry;
	uint64_t sent = 0, dropped = 0, n = 0;
	double begin, longest = 0;

	/* Nobody reads: whatever the queue's length is here, it is full some time. */
	while (dropped < 500) {
		bool delivered;

		begin = seconds();
		record_begin(recorder, LOG_INFO, NULL);
		record_field(recorder, "MESSAGE", "filling");
		delivered = record_submit(recorder);
		longest = longest < seconds() - begin ? seconds() - begin : longest;
		sent += delivered;
		dropped += !delivered;
		ck_assert_msg(!delivered || dropped == 0, "delivered after a drop, though nobody has read");
	}
	ck_assert_uint_gt(sent, 0);
	ck_assert_msg(longest < 1.0, "a record took %f s", longest);
	ck_assert_uint_eq(recorder_counts(recorder).sequence, sent + dropped);
	ck_assert_uint_eq(recorder_counts(recorder).dropped, dropped);
	ck_assert(!recorder_flush(recorder));
	ck_assert_uint_eq(recorder_counts(recorder).sequence, sent + dropped);

	while (journal_read(&journal, &entry)) {
		ck_assert_uint_eq(entry_number(entry, "PORTERD_SEQUENCE"), ++n);
		entry_free(entry);
	}
	ck_assert_uint_eq(n, sent);

	/* The gap shows in the next one's number, and its size is told. */
	record_message(recorder, LOG_INFO, "back");
	ck_assert(journal_read(&journal, &entry));
	entry_assert_text(entry, "MESSAGE", "back");
	ck_assert_uint_eq(entry_number(entry, "PORTERD_SEQUENCE"), sent + dropped + 1);
	entry_free(entry);
	ck_assert(journal_read(&journal, &entry));
	entry_assert_text(entry, "MESSAGE_ID", MESSAGE_ID_DROPPED);
	entry_assert_text(entry, "PRIORITY", "4");
	ck_assert_uint_eq(entry_number(entry, "PORTERD_DROPPED"), dropped);
	ck_assert_uint_eq(entry_number(entry, "PORTERD_SEQUENCE"), sent + dropped + 2);
	entry_free(entry);

	/* Told once. */
	record_message(recorder, LOG_INFO, "on");
	ck_assert(journal_read(&journal, &entry));
	entry_free(entry);
	ck_assert(!journal_read(&journal, &entry));
	ck_assert_uint_eq(recorder_counts(recorder).dropped, dropped);
}
END_TEST

START_TEST(an_absent_journal_may_come_back)
{
	struct entry *entry;

	/* Not there yet when the recorder is made. */
	journal_stop(&journal);
	recorder_free(recorder);
	ck_assert_int_eq(recorder_new_journal(&recorder, "unit-test", journal.path), 0);
	for (int i = 0; i < 2; i++) {
		record_begin(recorder, LOG_INFO, NULL);
		ck_assert(!record_submit(recorder));
	}
	ck_assert(!recorder_flush(recorder));

	/* Flushed without another record. */
	journal_start(&journal);
	ck_assert(recorder_flush(recorder));
	ck_assert(journal_read(&journal, &entry));
	ck_assert_uint_eq(entry_number(entry, "PORTERD_DROPPED"), 2);
	ck_assert_uint_eq(entry_number(entry, "PORTERD_SEQUENCE"), 3);
	entry_free(entry);

	/* Restarted: the path is another socket's. */
	journal_stop(&journal);
	record_message(recorder, LOG_INFO, "lost");
	journal_start(&journal);
	record_message(recorder, LOG_INFO, "found");
	ck_assert(journal_read(&journal, &entry));
	ck_assert_uint_eq(entry_number(entry, "PORTERD_SEQUENCE"), 5);
	entry_free(entry);
	ck_assert(journal_read(&journal, &entry));
	ck_assert_uint_eq(entry_number(entry, "PORTERD_DROPPED"), 1);
	entry_free(entry);
	ck_assert_uint_eq(recorder_counts(recorder).dropped, 3);
}
END_TEST

START_TEST(a_large_record_comes_sealed)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	size_t n_values = sockopt_packet_max() / RECORD_VALUE_MAX + 2;
	char value[RECORD_VALUE_MAX];
	struct entry *entry;

	memset(value, 'v', sizeof(value));
	value[100] = '\n';
	ck_assert_uint_lt(n_values + 4, FIELDS_MAX);
	record_begin(recorder, LOG_INFO, NULL);
	for (size_t i = 0; i < n_values; i++)
		record_bytes(recorder, "V", value, sizeof(value));
	record_field(recorder, "MESSAGE", "large");
	ck_assert(record_submit(recorder));
	ck_assert_uint_eq(unit_count_fds(), fds_before + 2);

	ck_assert(journal_read(&journal, &entry));
	ck_assert(entry->by_memfd);
	ck_assert_int_eq(entry->seals & seals, seals);
	ck_assert_uint_eq(entry->n_fields, n_values + 4);
	for (size_t i = 0; i < n_values; i++) {
		ck_assert_uint_eq(entry->fields[i + 2].size, sizeof(value));
		ck_assert_mem_eq(entry->fields[i + 2].value, value, sizeof(value));
	}
	entry_assert_text(entry, "MESSAGE", "large");
	entry_free(entry);

	/* The next small one goes as usual. */
	record_message(recorder, LOG_INFO, "small");
	ck_assert(journal_read(&journal, &entry));
	ck_assert(!entry->by_memfd);
	entry_assert_text(entry, "MESSAGE", "small");
	entry_free(entry);
}
END_TEST

START_TEST(wrong_addresses_are_errors)
{
	char path[200];
	struct recorder *none = NULL;

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(recorder_new_journal(&none, "unit-test", path), -ENAMETOOLONG);
	ck_assert_ptr_null(none);
	ck_assert_ptr_null(recorder_free(NULL));
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(values_arrive_as_they_are, ELEMENTSOF(values)),
		UNIT_TEST(records_are_numbered),
		UNIT_TEST(values_are_bounded),
		UNIT_TEST(held_records_come_together_in_their_order),
		UNIT_TEST(held_records_that_find_no_room_are_counted),
		UNIT_TEST(a_full_journal_drops_and_tells),
		UNIT_TEST(an_absent_journal_may_come_back),
		UNIT_TEST(a_large_record_comes_sealed),
		UNIT_TEST(wrong_addresses_are_errors),
		{ 0 },
	};

	return unit_run("record", tests, &(struct unit_around){ .setup = setup, .teardown = teardown, .seconds = 60 });
}
