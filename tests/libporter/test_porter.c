/* SPDX-License-Identifier: MIT
 *
 * libporter against a service that answers by script, well and badly.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/macro.h"
#include "conversation.h"

/* --- connecting --- */

static int listen_at(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

START_TEST(connect_tells_failures_apart)
{
	char directory[] = "/tmp/porter-test-XXXXXX", path[64], longer[256];
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chmod(directory, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/socket", directory);

	ck_assert_int_eq(porter_connect(&porter, path), -ENOENT);

	fd = listen_at(path, SOCK_STREAM);
	ck_assert_int_eq(porter_connect(&porter, path), 0);
	porter_free(TAKE_POINTER(porter));
	ck_assert_int_eq(chmod(path, 0), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(porter_connect(&porter, path), -EACCES);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chmod(path, 0700), 0);
	(void)close(fd);
	ck_assert_int_eq(porter_connect(&porter, path), -ECONNREFUSED);
	ck_assert_int_eq(unlink(path), 0);

	fd = listen_at(path, SOCK_DGRAM);
	ck_assert_int_eq(porter_connect(&porter, path), -EPROTOTYPE);
	(void)close(fd);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(directory), 0);

	ck_assert_int_eq(porter_connect(&porter, ""), -EINVAL);
	ck_assert_int_eq(porter_connect(&porter, "@"), -EINVAL);
	ck_assert_int_eq(porter_connect(&porter, "@porterd-test/nobody-is-here"), -ECONNREFUSED);
	memset(longer, 'x', sizeof(longer));
	longer[108] = '\0';
	ck_assert_int_eq(porter_connect(&porter, longer), -ENAMETOOLONG);
	longer[107] = '\0';
	ck_assert_int_eq(porter_connect(&porter, longer), -ENOENT);
	longer[0] = '@';
	longer[107] = 'x';
	longer[108] = '\0';
	ck_assert_int_eq(porter_connect(&porter, longer), -ECONNREFUSED);
	longer[108] = 'x';
	longer[109] = '\0';
	ck_assert_int_eq(porter_connect(&porter, longer), -ENAMETOOLONG);
	ck_assert_ptr_null(porter);
	ck_assert_uint_eq(unit_count_fds(), fds_before);
}
END_TEST

/* --- files --- */

START_TEST(open_hands_over_the_fd)
{
	static const struct fake_step steps[] = {
		{ .expect = OPEN_KEY, .send = "{\"parameters\":{\"descriptor\":0}}", .n_fds = 1 },
		{ .expect = OPEN_KEY, .send = " {\"parameters\" : {\"descriptor\":0, \"new\":[]}, \"also\":1}",
		  .n_fds = 1 },
	};
	int fd = -1;

	converse(steps, ELEMENTSOF(steps));
	for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
		ck_assert_int_eq(porter_open(porter, "key", &fd), 0);
		ck_assert_ptr_null(porter_error_name(porter));
		assert_passed(fd, 'a');
	}
	finish();
}
END_TEST

START_TEST(open_many_keeps_the_order)
{
	static const struct fake_step steps[] = {
		{ .expect = "{\"method\":\"io.porterd.Files.OpenMany\",\"parameters\":"
			    "{\"files\":[\"one\",\"two\",\"three\"]}}",
		  .send = "{\"parameters\":{\"descriptors\":[2,0,1]}}",
		  .n_fds = 3 },
	};
	static const char *const files[] = { "one", "two", "three" };
	int fds[3] = { -1, -1, -1 };

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_open_many(porter, files, 3, fds), 0);
	assert_passed(fds[0], 'c');
	assert_passed(fds[1], 'a');
	assert_passed(fds[2], 'b');
	finish();
}
END_TEST

START_TEST(open_many_takes_as_many_as_the_kernel_passes)
{
	static char request[8192] = "{\"method\":\"io.porterd.Files.OpenMany\",\"parameters\":{\"files\":[";
	static char reply[8192] = "{\"parameters\":{\"descriptors\":[";
	static struct fake_step steps[] = { { .expect = request, .send = reply, .n_fds = PORTER_FILES_MAX } };
	static const char *files[PORTER_FILES_MAX + 1];
	int fds[PORTER_FILES_MAX];

	for (size_t i = 0; i < PORTER_FILES_MAX; i++) {
		const char *comma = i > 0 ? "," : "";
		size_t used = strlen(reply);

		files[i] = "f";
		(void)strcat(strcat(request, comma), "\"f\"");
		(void)snprintf(reply + used, sizeof(reply) - used, "%s%zu", comma, i);
	}
	files[PORTER_FILES_MAX] = "f";
	(void)strcat(request, "]}}");
	(void)strcat(reply, "]}}");

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_open_many(porter, files, PORTER_FILES_MAX + 1, fds), -E2BIG);
	ck_assert_int_eq(porter_open_many(porter, files, PORTER_FILES_MAX, fds), 0);
	for (size_t i = 0; i < PORTER_FILES_MAX; i++)
		assert_passed(fds[i], (char)('a' + i % 26));
	finish();
}
END_TEST

START_TEST(check_and_list)
{
	static const struct fake_step steps[] = {
		{ .expect = "{\"method\":\"io.porterd.Files.Check\",\"parameters\":{\"file\":\"key\"}}",
		  .send = "{\"parameters\":{\"permitted\":false,\"reason\":\"no unit matches\"}}" },
		{ .expect = "{\"method\":\"io.porterd.Files.Check\",\"parameters\":{\"file\":\"key\"}}",
		  .send = "{\"parameters\":{\"permitted\":true,\"reason\":\"all match\"}}" },
		{ .expect = LIST,
		  .send = "{\"parameters\":{\"files\":[{\"name\":\"a\",\"description\":null,\"access\":\"read\"},"
			  "{\"name\":\"b\",\"description\":\"B\",\"access\":\"append\"},"
			  "{\"name\":\"c\",\"access\":\"read\"}]}}" },
		{ .expect = LIST, .send = "{\"parameters\":{\"files\":[]}}" },
	};
	struct porter_file **files = NULL;
	bool permitted = true;
	char *reason = NULL;

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_check(porter, "key", &permitted, &reason), 0);
	ck_assert(!permitted);
	ck_assert_str_eq(reason, "no unit matches");
	free(reason);
	ck_assert_int_eq(porter_check(porter, "key", &permitted, NULL), 0);
	ck_assert(permitted);

	ck_assert_int_eq(porter_list(porter, &files), 0);
	ck_assert_str_eq(files[0]->name, "a");
	ck_assert_ptr_null(files[0]->description);
	ck_assert_str_eq(files[0]->access, "read");
	ck_assert_str_eq(files[1]->description, "B");
	ck_assert_str_eq(files[1]->access, "append");
	ck_assert_ptr_null(files[2]->description);
	ck_assert_ptr_null(files[3]);
	porter_files_free(files);
	ck_assert_int_eq(porter_list(porter, &files), 0);
	ck_assert_ptr_null(files[0]);
	porter_files_free(files);
	finish();
}
END_TEST

/* --- credentials --- */

START_TEST(whoami_reads_all_parts)
{
	static const struct fake_step steps[] = {
		{ .expect = GET,
		  .send = "{\"parameters\":{\"credentials\":{\"uid\":4294967294,\"gid\":5,\"groups\":[7,4000000000],"
			  "\"pid\":42,\"unit\":\"a.service\",\"invocationId\":\"0af\",\"securityLabel\":\"l\"}}}" },
		{ .expect = GET,
		  .send = "{\"parameters\":{\"credentials\":{\"uid\":0,\"gid\":0,\"groups\":[],\"pid\":1}}}" },
		{ .expect = GET,
		  .send = "{\"parameters\":{\"credentials\":{\"uid\":0,\"gid\":0,\"groups\":null,\"pid\":0,"
			  "\"unit\":null}}}" },
	};
	struct porter_credentials *who = NULL;

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_whoami(porter, &who), 0);
	ck_assert_uint_eq(who->uid, 4294967294U);
	ck_assert_uint_eq(who->gid, 5);
	ck_assert_int_eq(who->pid, 42);
	ck_assert(who->has_groups);
	ck_assert_uint_eq(who->n_groups, 2);
	ck_assert_uint_eq(who->groups[1], 4000000000U);
	ck_assert_str_eq(who->unit, "a.service");
	ck_assert_str_eq(who->invocation_id, "0af");
	ck_assert_str_eq(who->security_label, "l");
	porter_credentials_free(who);

	ck_assert_int_eq(porter_whoami(porter, &who), 0);
	ck_assert(who->has_groups);
	ck_assert_uint_eq(who->n_groups, 0);
	ck_assert_ptr_null(who->unit);
	porter_credentials_free(who);

	ck_assert_int_eq(porter_whoami(porter, &who), 0);
	ck_assert(!who->has_groups);
	porter_credentials_free(who);
	finish();
}
END_TEST

START_TEST(check_credentials_asks_what_is_given)
{
	static const struct fake_step steps[] = {
		{ .expect = "{\"method\":\"io.porterd.Credentials.Check\",\"parameters\":"
			    "{\"users\":[\"root\",\"7\"],\"units\":[]}}",
		  .send = "{\"parameters\":{\"satisfied\":false,\"failed\":[\"users\",\"units\"]}}" },
		{ .expect = "{\"method\":\"io.porterd.Credentials.Check\",\"parameters\":{\"groups\":[\"g\"]}}",
		  .send = "{\"parameters\":{\"satisfied\":true,\"failed\":[]}}" },
	};
	static const char *const users[] = { "root", "7", NULL }, *const groups[] = { "g", NULL },
				 *const units[] = { NULL };
	char **failed = NULL;
	bool satisfied = true;

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_check_credentials(porter, users, NULL, units, &satisfied, &failed), 0);
	ck_assert(!satisfied);
	ck_assert_str_eq(failed[0], "users");
	ck_assert_str_eq(failed[1], "units");
	ck_assert_ptr_null(failed[2]);
	porter_strings_free(failed);
	ck_assert_int_eq(porter_check_credentials(porter, NULL, groups, NULL, &satisfied, NULL), 0);
	ck_assert(satisfied);
	finish();
}
END_TEST

/* --- any method --- */

START_TEST(call_passes_text_and_fds)
{
	static const struct fake_step steps[] = {
		{ .expect = "{\"method\":\"a.b.C\",\"parameters\":{\"x\":[1,null]}}",
		  .send = "{\"parameters\":{\"y\":\"\\u00e4\",\"d\":1}}",
		  .n_fds = 2 },
		{ .expect = "{\"method\":\"a.b.D\",\"parameters\":{}}", .send = "{}" },
		{ .expect = "{\"method\":\"a.b.D\",\"parameters\":{}}", .send = "{\"parameters\":null}" },
		{ .expect = "{\"method\":\"a.b.E\",\"parameters\":{}}", .send = "{}", .n_fds = 1 },
	};
	char *reply = NULL;
	int fds[4];
	size_t n_fds = ELEMENTSOF(fds);

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_call(porter, "a.b.C", "{\"x\": [1, null]}", &reply, fds, &n_fds), 0);
	ck_assert_str_eq(reply, "{\"y\":\"ä\",\"d\":1}");
	free(reply);
	ck_assert_uint_eq(n_fds, 2);
	assert_passed(fds[0], 'a');
	assert_passed(fds[1], 'b');

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(porter_call(porter, "a.b.D", NULL, &reply, NULL, NULL), 0);
		ck_assert_str_eq(reply, "{}");
		free(reply);
	}

	ck_assert_int_eq(porter_call(porter, "a.b.E", "[]", &reply, NULL, NULL), -EINVAL);
	ck_assert_int_eq(porter_call(porter, "a.b.E", "{", &reply, NULL, NULL), -EINVAL);
	ck_assert_int_eq(porter_call(porter, "a.b.\xff", "{}", &reply, NULL, NULL), -EINVAL);
	ck_assert_int_eq(porter_call(porter, "a.b.E", NULL, &reply, NULL, NULL), -EBADMSG);
	ck_assert_int_eq(porter_call(porter, "a.b.E", NULL, &reply, NULL, NULL), -ENOTCONN);
	finish();
}
END_TEST

START_TEST(bad_arguments_send_nothing)
{
	static const char *const none[] = { "ok", NULL }, *const bad[] = { "\xff" };
	static const struct fake_step steps[] = { { .expect = GET, .send = "{\"error\":\"a.b.C\"}" } };
	struct porter_credentials *who = NULL;
	char *huge;
	bool is;
	int fds[2];

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_open(porter, NULL, fds), -EINVAL);
	ck_assert_int_eq(porter_open(porter, "", fds), -EINVAL);
	ck_assert_int_eq(porter_open(porter, "\xff", fds), -EINVAL);
	ck_assert_int_eq(porter_open(NULL, "x", fds), -EINVAL);
	ck_assert_int_eq(porter_open_many(porter, none, 0, fds), -EINVAL);
	ck_assert_int_eq(porter_open_many(porter, none, 2, fds), -EINVAL);
	ck_assert_int_eq(porter_open_many(porter, bad, 1, fds), -EINVAL);
	ck_assert_int_eq(porter_check(porter, "\xff", &is, NULL), -EINVAL);
	ck_assert_int_eq(porter_check_credentials(porter, NULL, NULL, (const char *const[]){ "\xff", NULL }, &is,
						  NULL),
			 -EINVAL);

	huge = malloc(PORTER_MESSAGE_MAX + 1);
	memset(huge, 'x', PORTER_MESSAGE_MAX);
	huge[PORTER_MESSAGE_MAX] = '\0';
	ck_assert_int_eq(porter_open(porter, huge, fds), -EMSGSIZE);
	free(huge);

	/* The connection is as good as before, and a mistake of the caller's own makes it forget the error. */
	ck_assert_int_eq(porter_whoami(porter, &who), -EREMOTEIO);
	ck_assert_str_eq(porter_error_name(porter), "a.b.C");
	ck_assert_int_eq(porter_open(porter, "", fds), -EINVAL);
	ck_assert_ptr_null(porter_error_name(porter));
	finish();
}
END_TEST

/* --- errors of the service --- */

static const struct {
	const char *reply;
	int error;
	const char *name, *reason, *file;
} errors[] = {
	{ "{\"error\":\"io.porterd.Files.NotPermitted\",\"parameters\":{\"file\":\"key\",\"reason\":\"no\"}}",
	  EACCES, "io.porterd.Files.NotPermitted", "no", "key" },
	{ "{\"error\":\"io.porterd.Files.UnknownFile\",\"parameters\":{\"file\":\"key\"}}", ENOENT,
	  "io.porterd.Files.UnknownFile", NULL, "key" },
	{ "{\"error\":\"io.porterd.Files.FileMissing\"}", ENOENT, "io.porterd.Files.FileMissing", NULL, NULL },
	{ "{\"error\":\"io.porterd.Files.WrongType\"}", EMEDIUMTYPE, "io.porterd.Files.WrongType", NULL, NULL },
	{ "{\"error\":\"io.porterd.Files.UnsafeMode\"}", EPERM, "io.porterd.Files.UnsafeMode", NULL, NULL },
	{ "{\"error\":\"io.porterd.Files.TooManyFiles\",\"parameters\":{\"limit\":253}}", E2BIG,
	  "io.porterd.Files.TooManyFiles", NULL, NULL },
	{ "{\"error\":\"io.porterd.Files.OpenerUnavailable\"}", EHOSTDOWN, "io.porterd.Files.OpenerUnavailable",
	  NULL, NULL },
	{ "{\"error\":\"io.porterd.Files.Busy\"}", EBUSY, "io.porterd.Files.Busy", NULL, NULL },
	{ "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"x\"}}", EOPNOTSUPP,
	  "org.varlink.service.MethodNotFound", NULL, NULL },
	{ "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"file\"}}", EINVAL,
	  "org.varlink.service.InvalidParameter", NULL, NULL },
	{ "{\"error\":\"org.varlink.service.PermissionDenied\"}", EACCES, "org.varlink.service.PermissionDenied",
	  NULL, NULL },
	{ "{\"error\":\"com.example.Strange\",\"parameters\":{\"reason\":5,\"file\":[]}}", EREMOTEIO,
	  "com.example.Strange", NULL, NULL },
};

static void assert_same(const char *got, const char *expected)
{
	if (expected)
		ck_assert_str_eq(got, expected);
	else
		ck_assert_ptr_null(got);
}

START_TEST(errors_are_told_and_forgotten)
{
	const struct fake_step steps[] = {
		{ .expect = OPEN_KEY, .send = errors[_i].reply },
		{ .expect = OPEN_KEY, .send = "{\"parameters\":{\"descriptor\":0}}", .n_fds = 1 },
	};
	const char *parameters = strstr(errors[_i].reply, "\"parameters\":");
	int fd = -1;

	converse(steps, ELEMENTSOF(steps));
	ck_assert_int_eq(porter_open(porter, "key", &fd), -errors[_i].error);
	ck_assert_int_eq(fd, -1);
	ck_assert_str_eq(porter_error_name(porter), errors[_i].name);
	assert_same(porter_error_reason(porter), errors[_i].reason);
	assert_same(porter_error_file(porter), errors[_i].file);
	if (parameters) {
		parameters += strlen("\"parameters\":");
		ck_assert_int_eq(strncmp(porter_error_parameters(porter), parameters, strlen(parameters) - 1), 0);
	} else {
		ck_assert_str_eq(porter_error_parameters(porter), "{}");
	}

	ck_assert_int_eq(porter_open(porter, "key", &fd), 0);
	ck_assert_ptr_null(porter_error_name(porter));
	ck_assert_ptr_null(porter_error_reason(porter));
	ck_assert_ptr_null(porter_error_file(porter));
	ck_assert_ptr_null(porter_error_parameters(porter));
	assert_passed(fd, 'a');
	finish();
}
END_TEST

START_TEST(nothing_can_be_freed)
{
	porter_free(NULL);
	porter_files_free(NULL);
	porter_credentials_free(NULL);
	porter_strings_free(NULL);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(connect_tells_failures_apart),
		UNIT_TEST(open_hands_over_the_fd),
		UNIT_TEST(open_many_keeps_the_order),
		UNIT_TEST(open_many_takes_as_many_as_the_kernel_passes),
		UNIT_TEST(check_and_list),
		UNIT_TEST(whoami_reads_all_parts),
		UNIT_TEST(check_credentials_asks_what_is_given),
		UNIT_TEST(call_passes_text_and_fds),
		UNIT_TEST(bad_arguments_send_nothing),
		UNIT_LOOP(errors_are_told_and_forgotten, ELEMENTSOF(errors)),
		UNIT_TEST(nothing_can_be_freed),
		{ 0 },
	};

	return unit_run("libporter", tests, &(struct unit_around){ .setup = setup });
}
