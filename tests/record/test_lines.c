/* SPDX-License-Identifier: MIT
 *
 * Records as lines, for whoever has no journal.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "record/message_id.h"
#include "record/record.h"
#include "record/sink.h"
#include "tests/base/unit.h"

static void read_line(int fd, char *line, size_t size)
{
	ssize_t got = read(fd, line, size - 1);

	ck_assert_int_gt((int)got, 0);
	line[got] = '\0';
}

static const struct {
	const char *value;
	size_t size;
	const char *line;
} escapes[] = {
	{ "plain", 5, "plain" },
	{ "a b\"c'", 6, "a b\"c'" },
	{ "one\ntwo", 7, "one\\x0atwo" },
	{ "\r\t", 2, "\\x0d\\x09" },
	{ "\x1b[31mred", 8, "\\x1b[31mred" },
	{ "a\0b", 3, "a\\x00b" },
	{ "\x7f", 1, "\\x7f" },
	{ "\\x0a", 4, "\\x5cx0a" },
	/* To a terminal these are controls as well: CSI as one byte, and as UTF-8. */
	{ "\x9b" "31m", 4, "\\x9b31m" },
	{ "\xc2\x9b" "31m", 5, "\\xc2\\x9b31m" },
	{ "\xff", 1, "\\xff" },
	/* Eight bytes are looked at at once: each of them counts, and no other is taken for it. */
	{ "sixteen letters.", 16, "sixteen letters." },
	{ "~}] ~}] ~}] ~}] ", 16, "~}] ~}] ~}] ~}] " },
	{ "\nsecond", 7, "\\x0asecond" },
	{ "seventh\n", 8, "seventh\\x0a" },
	{ "eight more\x1f", 11, "eight more\\x1f" },
	{ "four\x80" "four", 9, "four\\x80four" },
	{ "three\\six", 9, "three\\x5csix" },
	{ "three\x7f" "six", 9, "three\\x7fsix" },
	{ "zero\0zero", 9, "zero\\x00zero" },
};

START_TEST(lines_are_readable_and_harmless)
{
	struct recorder *recorder;
	char line[8192], wanted[256];
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(recorder_new_stderr(&recorder, "unit-test", ends[1]), 0);

	record_begin(recorder, LOG_WARNING, MESSAGE_ID_REFUSED);
	record_bytes(recorder, "PORTERD_FILE", escapes[_i].value, escapes[_i].size);
	record_bytes(recorder, "MESSAGE", escapes[_i].value, escapes[_i].size);
	ck_assert(record_submit(recorder));
	read_line(ends[0], line, sizeof(line));
	(void)snprintf(wanted, sizeof(wanted),
		       "unit-test: %s [MESSAGE_ID=" MESSAGE_ID_REFUSED " PORTERD_FILE=%s PORTERD_SEQUENCE=1]\n",
		       escapes[_i].line, escapes[_i].line);
	ck_assert_str_eq(line, wanted);

	recorder_free(recorder);
	/* The fd is the caller's. */
	ck_assert_int_ge(fcntl(ends[1], F_GETFD), 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

START_TEST(long_lines_are_cut)
{
	struct recorder *recorder;
	char line[16384], value[RECORD_VALUE_MAX];
	int ends[2];

	memset(value, '\n', sizeof(value));
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(recorder_new_stderr(&recorder, "unit-test", ends[1]), 0);
	for (int i = 0; i < 2; i++) {
		record_begin(recorder, LOG_INFO, NULL);
		for (int n = 0; n < 10; n++)
			record_bytes(recorder, "MESSAGE", value, sizeof(value));
		ck_assert(record_submit(recorder));
		read_line(ends[0], line, sizeof(line));
		/* One write that a pipe takes as a whole. */
		ck_assert_uint_le(strlen(line), 4096);
		ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
	}
	recorder_free(recorder);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

START_TEST(held_lines_are_lines)
{
	struct recorder *recorder;
	char text[4096], *at = text;
	int fd = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_eq(recorder_new_stderr(&recorder, "unit-test", fd), 0);
	record_hold(recorder);
	for (int n = 1; n <= 40; n++)
		record_message(recorder, LOG_INFO, "held %d", n);
	ck_assert_int_eq((int)lseek(fd, 0, SEEK_END), 0);
	record_release(recorder);
	memset(text, 0, sizeof(text));
	ck_assert_int_gt((int)pread(fd, text, sizeof(text) - 1, 0), 0);
	for (int n = 1; n <= 40; n++) {
		char wanted[64];

		(void)snprintf(wanted, sizeof(wanted), "unit-test: held %d [PORTERD_SEQUENCE=%d]\n", n, n);
		ck_assert_int_eq(strncmp(at, wanted, strlen(wanted)), 0);
		at += strlen(wanted);
	}
	ck_assert_int_eq(*at, '\0');
	recorder_free(recorder);
	(void)close(fd);
}
END_TEST

/* A log file that others write to as well. */
START_TEST(a_file_is_appended_to)
{
	struct recorder *recorder;
	char text[512];
	int fd = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_eq((int)write(fd, "before\n", 7), 7);
	ck_assert_int_eq(recorder_new_stderr(&recorder, "unit-test", fd), 0);
	record_message(recorder, LOG_INFO, "ours");
	ck_assert_int_eq((int)write(fd, "after\n", 6), 6);
	memset(text, 0, sizeof(text));
	ck_assert_int_gt((int)pread(fd, text, sizeof(text) - 1, 0), 0);
	ck_assert_str_eq(text, "before\nunit-test: ours [PORTERD_SEQUENCE=1]\nafter\n");
	recorder_free(recorder);
	(void)close(fd);
}
END_TEST

/* Returns what it was before. */
static rlim_t set_file_limit(rlim_t size)
{
	struct rlimit limit;
	rlim_t before;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = size;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	return before;
}

/* As on a full disk: the kernel takes what fits, and says so. */
START_TEST(what_a_full_file_took_is_counted)
{
	static const char line[] = "unit-test: held [PORTERD_SEQUENCE=1]\n";
	struct recorder *recorder;
	char text[1024];
	int fd = memfd_create("log", MFD_CLOEXEC);
	uint64_t held, dropped;
	rlim_t limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(recorder_new_stderr(&recorder, "unit-test", fd), 0);
	limit = set_file_limit(2 * strlen(line) + 10);
	record_hold(recorder);
	for (int n = 0; n < 5; n++)
		record_message(recorder, LOG_INFO, "held");
	record_release(recorder);
	held = recorder_counts(recorder).dropped;
	record_message(recorder, LOG_INFO, "no room");
	dropped = recorder_counts(recorder).dropped;
	(void)set_file_limit(limit);
	ck_assert_uint_eq(held, 3);
	ck_assert_uint_eq(dropped, 4);

	record_message(recorder, LOG_INFO, "room");
	memset(text, 0, sizeof(text));
	ck_assert_int_gt((int)pread(fd, text, sizeof(text) - 1, 0), 0);
	ck_assert_ptr_nonnull(strstr(text, "held [PORTERD_SEQUENCE=2]\nunit-test:\nunit-test: room [PORTERD_SEQUENCE=7]\n"));
	ck_assert_ptr_nonnull(strstr(text, "4 records were dropped"));
	recorder_free(recorder);
	(void)close(fd);
}
END_TEST

/* Fills the sink, whose reading end is `reader`, and looks at what is told when it is read again. */
static void fill_and_tell(int reader, int writer)
{
	struct recorder *recorder;
	uint64_t dropped = 0;
	char line[8192], wanted[64], *told;
	int flags = fcntl(reader, F_GETFL);

	ck_assert_int_eq(recorder_new_stderr(&recorder, "unit-test", writer), 0);
	while (dropped < 100) {
		record_begin(recorder, LOG_INFO, NULL);
		record_field(recorder, "MESSAGE", "filling the pipe, which nobody reads, line by line by line");
		dropped += !record_submit(recorder);
	}
	ck_assert_uint_eq(recorder_counts(recorder).dropped, dropped);

	ck_assert_int_eq(fcntl(reader, F_SETFL, flags | O_NONBLOCK), 0);
	while (read(reader, line, sizeof(line)) > 0)
		;
	record_message(recorder, LOG_INFO, "back");
	ck_assert_int_eq(fcntl(reader, F_SETFL, flags), 0);
	line[0] = '\0';
	while (!strstr(line, "PORTERD_DROPPED")) {
		size_t size = strlen(line);

		ck_assert_uint_lt(size, sizeof(line) - 1);
		read_line(reader, line + size, sizeof(line) - size);
	}
	ck_assert_ptr_nonnull(strstr(line, "unit-test: back ["));
	(void)snprintf(wanted, sizeof(wanted), " PORTERD_DROPPED=%llu ", (unsigned long long)dropped);
	told = strstr(line, wanted);
	ck_assert_ptr_nonnull(told);
	recorder_free(recorder);
}

START_TEST(a_full_pipe_blocks_nobody)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 8192), 0);
	fill_and_tell(ends[0], ends[1]);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

START_TEST(a_full_socket_blocks_nobody)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fill_and_tell(ends[0], ends[1]);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

START_TEST(a_stopped_terminal_blocks_nobody)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		unit_skip("there are no pseudo terminals here");
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(terminal, 0);
	fill_and_tell(master, terminal);
	(void)close(master);
	(void)close(terminal);
}
END_TEST

/* SIGPIPE has its default action here, so it would end the test. */
START_TEST(a_closed_pipe_kills_nobody)
{
	struct recorder *recorder;
	int ends[2];

	(void)signal(SIGPIPE, SIG_DFL);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(recorder_new_stderr(&recorder, "unit-test", ends[1]), 0);
	ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	(void)close(ends[0]);
	record_begin(recorder, LOG_INFO, NULL);
	ck_assert(!record_submit(recorder));
	(void)close(ends[1]);
	record_begin(recorder, LOG_INFO, NULL);
	ck_assert(!record_submit(recorder));
	ck_assert_uint_eq(recorder_counts(recorder).dropped, 2);
	recorder_free(recorder);
}
END_TEST

/* --- which of them --- */

START_TEST(the_journals_stream_is_recognised)
{
	static const char *const others[] = { "", ":", "1", "1:", "x:y", "0:0", "-1:-1", "1:1" };
	struct stat st;
	char stream[64];

	(void)unsetenv("JOURNAL_STREAM");
	ck_assert(!record_sink_stderr_is_journal());
	for (size_t i = 0; i < ELEMENTSOF(others); i++) {
		ck_assert_int_eq(setenv("JOURNAL_STREAM", others[i], 1), 0);
		ck_assert_msg(!record_sink_stderr_is_journal(), "'%s' was taken for the journal", others[i]);
	}

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino);
	ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
	ck_assert(record_sink_stderr_is_journal());
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino + 1);
	ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
	ck_assert(!record_sink_stderr_is_journal());
	(void)unsetenv("JOURNAL_STREAM");
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(lines_are_readable_and_harmless, ELEMENTSOF(escapes)),
		UNIT_TEST(long_lines_are_cut),
		UNIT_TEST(held_lines_are_lines),
		UNIT_TEST(a_file_is_appended_to),
		UNIT_TEST(what_a_full_file_took_is_counted),
		UNIT_TEST(a_full_pipe_blocks_nobody),
		UNIT_TEST(a_full_socket_blocks_nobody),
		UNIT_TEST(a_stopped_terminal_blocks_nobody),
		UNIT_TEST(a_closed_pipe_kills_nobody),
		UNIT_TEST(the_journals_stream_is_recognised),
		{ 0 },
	};

	return unit_run("lines", tests, NULL);
}
