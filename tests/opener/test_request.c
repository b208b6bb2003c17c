/* SPDX-License-Identifier: MIT
 *
 * Requests: what they are answered, and the records that they leave.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "request_fixture.h"

START_TEST(open_one)
{
	struct stat status;
	const char *r;
	char byte;

	load_three();
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.header.count, 1);
	ck_assert_uint_eq(response.fds.count, 1);
	ck_assert_int_eq(read(response.fds.fds[0], &byte, 1), 1);
	ck_assert_int_eq(byte, '1');
	ck_assert_int_eq(fstat(response.fds.fds[0], &status), 0);

	r = record();
	ck_field(r, "MESSAGE_ID=" MESSAGE_ID_GRANTED);
	ck_field(r, "PORTERD_FILE=one");
	ck_assert_ptr_nonnull(strstr(r, "PORTERD_PATH=/"));
	ck_field(r, "PORTERD_ACCESS=read-write");
	ck_field(r, "PORTERD_RESULT=granted");
	ck_field(r, "PORTERD_REASON=AllowUser= names the client");
	ck_number(r, "PORTERD_CLIENT_UID", getuid());
	ck_number(r, "PORTERD_CLIENT_GID", getgid());
	ck_number(r, "PORTERD_CLIENT_PID", getpid());
	ck_number(r, "PORTERD_INODE", (long long)status.st_ino);
	ck_assert_ptr_nonnull(strstr(r, "\nPORTERD_DEVICE="));
	ck_assert_ptr_nonnull(strstr(r, "\nPORTERD_SEQUENCE="));
	ck_assert_ptr_nonnull(strstr(r, ") was opened for read-write for uid "));
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.granted, 1);
	ck_assert_uint_eq(service.refused, 0);
	ck_assert_uint_eq(service.requests, 1);
}
END_TEST

/* One file of several is refused: none comes, the index says which, and each has its record. */
static const struct {
	const char *labels[3];
	enum opener_result result;
	uint32_t index;
	const char *reasons[3];
} refusals[] = {
	{ { "one", "two", "theirs" }, OPENER_NOT_PERMITTED, 2, { "another", "another", "the client's user" } },
	{ { "theirs", "one", "two" }, OPENER_NOT_PERMITTED, 0, { "the client's user", "another", "another" } },
	{ { "one", "none", "theirs" }, OPENER_UNKNOWN_FILE, 1, { "another", "the policy has no", "the client's user" } },
	{ { "one", "gone", "two" }, OPENER_FILE_MISSING, 1, { "another", "there is no such file", "another" } },
	{ { "gone", "one", "gone" }, OPENER_FILE_MISSING, 0, { "there is no", "another", NULL } },
	{ { "one", "one", "none" }, OPENER_UNKNOWN_FILE, 2, { "another", NULL, "the policy has no" } },
	{ { "one", "gone", "none" }, OPENER_UNKNOWN_FILE, 2, { "another", "another", "the policy has no" } },
	{ { "one", "", "two" }, OPENER_UNKNOWN_FILE, 1, { "another", "the policy has no", "another" } },
};

START_TEST(all_or_none)
{
	load_three();
	start(OPENER_OPEN);
	for (size_t i = 0; i < 3; i++)
		add(refusals[_i].labels[i]);
	ck_assert_int_eq(serve(), refusals[_i].result);
	ck_assert_uint_eq(response.header.index, refusals[_i].index);
	ck_assert_uint_eq(response.header.count, 0);
	ck_assert_ptr_nonnull(strstr(text(), refusals[_i].reasons[refusals[_i].index]));

	for (size_t i = 0; i < 3; i++) {
		const char *r = refusals[_i].reasons[i] ? record() : NULL;
		char field[128];

		if (!r) /* it was recorded with the same name before */
			continue;

		ck_field(r, "MESSAGE_ID=" MESSAGE_ID_REFUSED);
		ck_field(r, "PORTERD_RESULT=refused");
		(void)snprintf(field, sizeof(field), "PORTERD_FILE=%s", refusals[_i].labels[i]);
		ck_field(r, field);
		(void)snprintf(field, sizeof(field), "\nPORTERD_REASON=%s", refusals[_i].reasons[i]);
		ck_assert_msg(strstr(r, field), "%s", r);
	}
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.granted, 0);
	ck_assert_uint_eq(service.refused, 3);
}
END_TEST

/* As when the kernel takes no more descriptors for porterd. */
START_TEST(what_could_not_be_sent_is_refused)
{
	const char *r;

	load_three();
	start(OPENER_OPEN);
	add("one");
	add("two");
	ck_assert_int_eq(serve_answer(), OPENER_OK);
	withdraw("for a test");
	serve_rest();
	r = record();
	ck_field(r, "PORTERD_FILE=one");
	ck_field(r, "PORTERD_RESULT=refused");
	ck_field(r, "PORTERD_REASON=for a test");
	r = record();
	ck_field(r, "PORTERD_FILE=two");
	ck_field(r, "PORTERD_RESULT=refused");
	ck_assert_uint_eq(service.granted, 0);
	ck_assert_uint_eq(service.refused, 2);

	/* Of what was refused anyway, the reason stays. */
	add("gone");
	ck_assert_int_eq(serve_answer(), OPENER_FILE_MISSING);
	withdraw("for a test");
	serve_rest();
	ck_assert_ptr_null(strstr(record(), "for a test"));
}
END_TEST

START_TEST(no_fd_is_left_open)
{
	size_t before;

	load_three();
	start(OPENER_OPEN);
	add("one");
	add("two");
	add("gone");
	before = unit_count_fds();
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(serve(), OPENER_FILE_MISSING);
	forget_clients();
	ck_assert_uint_eq(before, unit_count_fds());

	for (int count = 1; count <= OPENER_FILES_MAX; count += OPENER_FILES_MAX - 1) {
		start(OPENER_OPEN);
		for (int i = 0; i < count; i++)
			add(i % 2 == 0 ? "one" : "two");
		ck_assert_int_eq(serve_answer(), OPENER_OK);
		ck_assert_uint_eq(response.fds.count, (unsigned)count);
		serve_sent();
		forget_clients();
		ck_assert_uint_eq(before, unit_count_fds());
	}
}
END_TEST

START_TEST(order_is_kept)
{
	char all[8192] = "", name[32], content[8];

	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "f%02d", i);
		fixture_write(name, name + 1, 0600);
		(void)strcat(all, grant(name, name));
	}
	load_text(all);
	start(OPENER_OPEN);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "f%02d", i * 7 % 20);
		add(name);
	}
	add("f03"); /* twice is no mistake */
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, 21);
	for (int i = 0; i < 20; i++) {
		memset(content, 0, sizeof(content));
		ck_assert_int_eq(read(response.fds.fds[i], content, 4), 2);
		ck_assert_int_eq(atoi(content), i * 7 % 20);
	}
}
END_TEST

START_TEST(as_many_as_may_be)
{
	load_three();
	start(OPENER_OPEN);
	for (int i = 0; i < OPENER_FILES_MAX; i++)
		add("one");
	ck_assert_uint_eq(packet_size(), REQUEST_SIZE_MAX);
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, OPENER_FILES_MAX);
	add("one");
	ck_assert_int_eq(serve(), OPENER_TOO_MANY_FILES);
	packet.header.count = UINT32_MAX;
	ck_assert_int_eq(serve_with(sizeof(packet.header), accepted), OPENER_TOO_MANY_FILES);
}
END_TEST

static void load_copies(int n)
{
	char all[8192] = "", name[32];

	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "copy%d", i);
		fixture_write(name, name, 0600);
		ck_assert_int_eq(truncate(fixture_path(name), 4 << 20), 0);
		(void)snprintf(all + strlen(all), sizeof(all) - strlen(all),
			       "[%s]\nPath=%s\nDeliver=copy\nAllowUser=%u\n", name, fixture_path(name), getuid());
	}
	load_text(all);
}

START_TEST(one_copy_is_enough)
{
	struct stat first, status;
	char content[5];

	load_copies(1);
	start(OPENER_OPEN);
	for (int i = 0; i < OPENER_FILES_MAX; i++)
		add("copy0");
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, OPENER_FILES_MAX);
	ck_assert_int_eq(fstat(response.fds.fds[0], &first), 0);
	for (size_t i = 0; i < response.fds.count; i++) {
		ck_assert_int_eq(fstat(response.fds.fds[i], &status), 0);
		ck_assert_uint_eq(first.st_ino, status.st_ino);
		/* Each has a place of its own, and none can write. */
		ck_assert_int_eq(read(response.fds.fds[i], content, 5), 5);
		ck_assert_mem_eq(content, "copy0", 5);
		ck_assert_int_eq(fcntl(response.fds.fds[i], F_GETFL) & O_ACCMODE, O_RDONLY);
		ck_assert_int_eq(fcntl(response.fds.fds[i], F_GETFD), FD_CLOEXEC);
	}
	/* All are counted, one is recorded. */
	ck_assert_uint_eq(service.granted, OPENER_FILES_MAX);
	ck_field(record(), "PORTERD_FILE=copy0");
	ck_assert_str_eq(record(), "");
}
END_TEST

START_TEST(copies_are_bounded_together)
{
	load_copies(5);
	start(OPENER_OPEN);
	add("copy3");
	add("copy0");
	add("copy0");
	add("copy1");
	add("copy2");
	ck_assert_int_eq(serve(), OPENER_OK);
	add("copy4");
	add("copy4");
	ck_assert_int_eq(serve(), OPENER_NOT_PERMITTED);
	ck_assert_uint_eq(response.header.index, 5);
	ck_assert_str_eq(text(), "the copies of one request may not have more than 16777216 bytes together");
}
END_TEST

START_TEST(strange_names_are_recorded_as_they_are)
{
	const char *r;

	start(OPENER_OPEN);
	add("a\nPORTERD_RESULT=granted\x1b\xff");
	ck_assert_int_eq(serve(), OPENER_UNKNOWN_FILE);
	r = record();
	ck_field(r, "PORTERD_RESULT=refused");
	ck_assert_ptr_null(strstr(r, "\nPORTERD_RESULT=granted\n"));
	ck_assert_ptr_nonnull(strstr(r, "PORTERD_FILE\n"));
	ck_assert_ptr_nonnull(strstr(r, "a\nPORTERD_RESULT=granted\x1b\xff"));
	ck_assert_ptr_nonnull(strstr(r, "MESSAGE=a?PORTERD_RESULT=granted?? was refused to uid "));
	ck_assert_ptr_null(strstr(r, "PORTERD_PATH"));
}
END_TEST

START_TEST(check)
{
	static const struct {
		const char *label;
		enum opener_result result;
		const char *reason;
	} cases[] = {
		{ "one", OPENER_OK, "AllowUser= names the client" },
		{ "gone", OPENER_FILE_MISSING, "there is no such file" },
		{ "theirs", OPENER_NOT_PERMITTED, "the client's user is not in AllowUser=" },
		{ "none", OPENER_UNKNOWN_FILE, "the policy has no such file" },
	};

	load_three();
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		start(OPENER_CHECK);
		add(cases[i].label);
		ck_assert_int_eq(serve(), cases[i].result);
		ck_assert_str_eq(text(), cases[i].reason);
	}
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.granted + service.refused, 0);
	ck_assert_uint_eq(service.requests, ELEMENTSOF(cases));
}
END_TEST

START_TEST(list)
{
	static char all[1 << 20];
	uint32_t cursor = 0, pages = 0, seen = 0;
	size_t used = 0;

	for (int i = 0; i < 1000; i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used,
					 "[f%03d]\nPath=/f\nAllowUser=%u\nDescription=file %d %*s.\nAccess=append\n", i,
					 i % 2 ? getuid() : 4242, i, 200, "");
	load_text(all);
	do {
		const char *at;

		start(OPENER_LIST);
		packet.header.cursor = cursor;
		ck_assert_int_eq(serve(), OPENER_OK);
		at = response.text;
		for (uint32_t i = 0; i < response.header.count; i++, seen++) {
			char name[32];

			(void)snprintf(name, sizeof(name), "f%03u", 2 * seen + 1);
			ck_assert_str_eq(at, name);
			at += strlen(at) + 1;
			ck_assert_int_eq(strncmp(at, "file ", 5), 0);
			at += strlen(at) + 1;
			ck_assert_str_eq(at, "append");
			at += strlen(at) + 1;
		}
		ck_assert_ptr_eq(at, response.text + response.header.text_size);
		cursor = response.header.cursor;
		pages++;
	} while (cursor != 0);
	ck_assert_uint_eq(seen, 500);
	ck_assert_uint_gt(pages, 5);

	start(OPENER_LIST);
	packet.header.cursor = UINT32_MAX;
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.header.count, 0);
	ck_assert_uint_eq(response.header.cursor, 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(open_one),
		UNIT_LOOP(all_or_none, ELEMENTSOF(refusals)),
		UNIT_TEST(what_could_not_be_sent_is_refused),
		UNIT_TEST(no_fd_is_left_open),
		UNIT_TEST(order_is_kept),
		UNIT_TEST(as_many_as_may_be),
		UNIT_TEST(one_copy_is_enough),
		UNIT_TEST(copies_are_bounded_together),
		UNIT_TEST(strange_names_are_recorded_as_they_are),
		UNIT_TEST(check),
		UNIT_TEST(list),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("request", tests, &(struct unit_around){ request_setup, request_teardown, 60 });
}
