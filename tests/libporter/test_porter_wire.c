/* SPDX-License-Identifier: MIT
 *
 * libporter against a service that does not keep to its interface, and against what the wire may do.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "base/macro.h"
#include "conversation.h"

/* --- a service that does not keep to its interface --- */

/* Each breaks porter_open(), closes all fds and ends the connection. */
static const struct fake_step bad_opens[] = {
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":1}}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":253}}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":-1}}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":4294967296}}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0.0}}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":\"0\"}}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":null}}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{}}", 0, 1, 0 },
	{ OPEN_KEY, "{}", 0, 0, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0}}", 0, 0, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0}}", 0, 2, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0}}", 0, 253, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0},\"continues\":true}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0},\"continues\":0}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0,\"descriptor\":0}}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":[0]}", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":\"\\u0000\"}", 0, 1, 0 },
	{ OPEN_KEY, "{\"error\":\"io.porterd.Files.Busy\"}", 0, 1, 0 },
	{ OPEN_KEY, "{\"error\":5}", 0, 0, 0 },
	{ OPEN_KEY, "{\"error\":\"\"}", 0, 0, 0 },
	{ OPEN_KEY, "{\"error\":\"a.b.C\",\"continues\":true}", 0, 0, 0 },
	{ OPEN_KEY, "[]", 0, 1, 0 },
	{ OPEN_KEY, "null", 0, 1, 0 },
	{ OPEN_KEY, "", 0, 1, 0 },
	{ OPEN_KEY, "\xff\xfe garbage", 0, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0}} x", 0, 1, 0 },
	/* Two replies to one call, and a piece of a second. */
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0}}\0{}", 34, 1, 0 },
	{ OPEN_KEY, "{\"parameters\":{\"descriptor\":0}}\0{", 33, 1, 0 },
};

START_TEST(bad_open_breaks_the_connection)
{
	int fd = -1;

	converse(&bad_opens[_i], 1);
	ck_assert_int_eq(porter_open(porter, "key", &fd), -EBADMSG);
	ck_assert_int_eq(fd, -1);
	ck_assert_ptr_null(porter_error_name(porter));
	ck_assert_int_eq(porter_open(porter, "key", &fd), -ENOTCONN);
	finish();
}
END_TEST

START_TEST(an_index_is_used_once)
{
	static const char *const replies[] = {
		"{\"parameters\":{\"descriptors\":[0,0]}}",	"{\"parameters\":{\"descriptors\":[0,2]}}",
		"{\"parameters\":{\"descriptors\":[0]}}",	"{\"parameters\":{\"descriptors\":[0,1,1]}}",
		"{\"parameters\":{\"descriptors\":{\"0\":1}}}", "{\"parameters\":{\"descriptors\":[1,\"0\"]}}",
	};
	static const char *const files[] = { "one", "two" };
	const struct fake_step steps[] = { { .send = replies[_i], .n_fds = 2 } };
	int fds[] = { -1, -1 };

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_open_many(porter, files, 2, fds), -EBADMSG);
	ck_assert_int_eq(fds[0], -1);
	ck_assert_int_eq(fds[1], -1);
	finish();
}
END_TEST

/* Well-formed envelopes around answers that make no sense. */
static const char *const bad_answers[] = {
	"{\"parameters\":{}}",
	"{\"parameters\":{\"permitted\":1,\"reason\":\"\",\"satisfied\":1,\"failed\":[],\"files\":{},"
	"\"credentials\":[]}}",
	"{\"parameters\":{\"permitted\":true,\"reason\":5,\"satisfied\":true,\"failed\":[5],\"files\":[5],"
	"\"credentials\":{\"uid\":-1,\"gid\":0,\"pid\":0}}}",
	"{\"parameters\":{\"permitted\":true,\"satisfied\":true,\"failed\":\"\",\"files\":[{\"name\":\"a\"}],"
	"\"credentials\":{\"uid\":4294967296,\"gid\":0,\"pid\":0}}}",
	"{\"parameters\":{\"permitted\":null,\"reason\":\"\",\"satisfied\":true,"
	"\"files\":[{\"name\":\"a\",\"access\":\"read\"},{\"name\":\"a\",\"access\":\"read\",\"description\":1}],"
	"\"credentials\":{\"uid\":0,\"gid\":0,\"pid\":0,\"groups\":[0,-1]}}}",
	"{\"parameters\":{\"permitted\":\"yes\",\"reason\":\"\",\"satisfied\":[],\"failed\":[],"
	"\"files\":[null],\"credentials\":{\"uid\":0,\"gid\":0,\"pid\":0,\"unit\":5}}}",
	"{\"parameters\":{\"credentials\":{\"uid\":0,\"gid\":0,\"pid\":2147483648}}}",
};

START_TEST(bad_answers_break_the_connection)
{
	const struct fake_step steps[] = { { .send = bad_answers[_i] } };
	struct porter_credentials *who = NULL;
	struct porter_file **files = NULL;
	char *reason = NULL, **failed = NULL;
	bool is;

	for (int call = 0; call < 4; call++) {
		converse(steps, ELEMENTSOF(steps));
		ck_assert_int_eq(call == 0   ? porter_check(porter, "key", &is, &reason)
				 : call == 1 ? porter_list(porter, &files)
				 : call == 2 ? porter_whoami(porter, &who)
					     : porter_check_credentials(porter, NULL, NULL, NULL, &is, &failed),
				 -EBADMSG);
		ck_assert_int_eq(porter_whoami(porter, &who), -ENOTCONN);
		finish();
	}
	ck_assert(!reason && !files && !who && !failed);
}
END_TEST

/* --- the wire --- */

START_TEST(split_replies_are_put_together)
{
	static const char reply[] = "{\"parameters\":{\"descriptor\":0}}";
	struct fake_step steps[sizeof(reply)];
	int fd = -1;

	for (size_t i = 0; i < sizeof(reply); i++)
		steps[i] = (struct fake_step){ .send = reply + i, .size = 1, .n_fds = i == 0 };
	steps[0].expect = OPEN_KEY;
	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_open(porter, "key", &fd), 0);
	assert_passed(fd, 'a');
	finish();
}
END_TEST

START_TEST(fds_in_the_middle_are_closed)
{
	static const struct fake_step steps[] = {
		{ .expect = OPEN_KEY, .send = "{\"parameters\":", .size = 14, .n_fds = (size_t)1 },
		{ .send = "{\"descriptor\":0}}", .n_fds = 1 },
	};
	struct fake_step late[2] = { steps[0], steps[1] };
	int fd = -1;

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_open(porter, "key", &fd), -EBADMSG);
	ck_assert_int_eq(porter_open(porter, "key", &fd), -ENOTCONN);
	finish();

	late[0].n_fds = 0;
	converse(late, ELEMENTSOF(late));
	ck_assert_int_eq(porter_open(porter, "key", &fd), -EBADMSG);
	finish();
}
END_TEST

START_TEST(a_reply_may_be_as_long_as_allowed)
{
	static char reply[1024 * 1024 + 2];
	const struct fake_step steps[] = {
		{ .expect = GET, .send = reply, .size = PORTER_MESSAGE_MAX + 1 },
		{ .expect = GET, .send = reply, .size = PORTER_MESSAGE_MAX + 1 },
	};
	struct porter_credentials *who = NULL;
	static const char begin[] = "{\"parameters\":{\"credentials\":{\"uid\":1,\"gid\":2,\"pid\":3}}";

	memset(reply, ' ', sizeof(reply));
	memcpy(reply, begin, strlen(begin));
	reply[PORTER_MESSAGE_MAX - 1] = '}';
	reply[PORTER_MESSAGE_MAX] = '\0';
	converse(steps, 1);
	ck_assert_int_eq(porter_whoami(porter, &who), 0);
	ck_assert_int_eq(who->pid, 3);
	porter_credentials_free(who);
	finish();

	/* One byte more. */
	reply[PORTER_MESSAGE_MAX] = ' ';
	converse(steps + 1, 1);
	ck_assert_int_eq(porter_whoami(porter, &who), -EMSGSIZE);
	ck_assert_int_eq(porter_whoami(porter, &who), -ENOTCONN);
	finish();
}
END_TEST

START_TEST(an_early_end_is_a_reset)
{
	static const struct fake_step steps[] = {
		{ .expect = OPEN_KEY },
		{ .expect = OPEN_KEY, .send = "{\"parameters\":{\"descriptor\":0}}", .size = 10, .n_fds = 1 },
		{ .expect = OPEN_KEY, .send = "{\"parameters\":{\"descriptor\":0}}", .size = 31, .n_fds = 1 },
	};
	int fd = -1;

	converse(&steps[_i], 1);
	ck_assert_int_eq(porter_open(porter, "key", &fd), -ECONNRESET);
	ck_assert_int_eq(porter_open(porter, "key", &fd), -ENOTCONN);
	finish();
}
END_TEST

START_TEST(a_service_that_left_is_a_reset)
{
	struct porter_credentials *who = NULL;

	converse(NULL, 0);
	(void)pthread_join(fake.thread, NULL);
	ck_assert_int_eq(porter_whoami(porter, &who), -ECONNRESET);
	porter_free(TAKE_POINTER(porter));
	fd_close(fake.listener);
	ck_assert_uint_eq(unit_count_fds(), fds_before);
}
END_TEST

static volatile sig_atomic_t interruptions;

static void count_interruption(int number _unused_)
{
	interruptions = interruptions + 1;
}

START_TEST(signals_do_not_disturb)
{
	static const struct fake_step steps[] = { { .expect = OPEN_KEY,
						    .send = "{\"parameters\":{\"descriptor\":0}}",
						    .n_fds = 1,
						    .delay_ms = 200 } };
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { { 0, 0 }, { 0, 0 } };
	const struct sigaction action = { .sa_handler = count_interruption };
	sigset_t alarms;
	int fd = -1;

	/* The service's thread inherits the mask, so that all of them hit the client. */
	(void)sigemptyset(&alarms);
	(void)sigaddset(&alarms, SIGALRM);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &alarms, NULL), 0);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	ck_assert_int_eq(porter_open(porter, "key", &fd), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	ck_assert_int_gt(interruptions, 2);
	assert_passed(fd, 'a');
	finish();
}
END_TEST

START_TEST(fds_that_find_no_room_are_not_half_taken)
{
	static const struct fake_step steps[] = { { .send = "{\"parameters\":{\"descriptors\":[0,1,2]}}",
						    .n_fds = 3 } };
	static const char *const files[] = { "one", "two", "three" };
	struct rlimit limit, saved;
	int fds[3] = { -1, -1, -1 }, lowest;

	if (unit_under_valgrind())
		unit_skip("valgrind keeps RLIMIT_NOFILE from the kernel");
	converse(steps, ELEMENTSOF(steps));
	/* Room for one fd more, once the service has made its own three: besides the listening socket and the
	 * two ends of the connection. */
	while (unit_count_fds() < fds_before + 6)
		(void)usleep(1000);
	lowest = dup(0);
	ck_assert_int_ge(lowest, 0);
	(void)close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
	limit = (struct rlimit){ (rlim_t)lowest + 1, saved.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(porter_open_many(porter, files, 3, fds), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
	ck_assert_int_eq(fds[0], -1);
	finish();
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(bad_open_breaks_the_connection, ELEMENTSOF(bad_opens)),
		UNIT_LOOP(an_index_is_used_once, 6),
		UNIT_LOOP(bad_answers_break_the_connection, ELEMENTSOF(bad_answers)),
		UNIT_TEST(split_replies_are_put_together),
		UNIT_TEST(fds_in_the_middle_are_closed),
		UNIT_TEST(a_reply_may_be_as_long_as_allowed),
		UNIT_LOOP(an_early_end_is_a_reset, 3),
		UNIT_TEST(a_service_that_left_is_a_reset),
		UNIT_TEST(signals_do_not_disturb),
		UNIT_TEST(fds_that_find_no_room_are_not_half_taken),
		{ 0 },
	};

	return unit_run("libporter wire", tests, &(struct unit_around){ .seconds = 60, .setup = setup });
}
