/* SPDX-License-Identifier: MIT
 *
 * libporter against a service that answers by script, well and badly.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/macro.h"
#include "fake_service.h"
#include "libporter/porter.h"

#define OPEN_KEY "{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"key\"}}"
#define GET "{\"method\":\"io.porterd.Credentials.Get\",\"parameters\":{}}"
#define LIST "{\"method\":\"io.porterd.Files.List\",\"parameters\":{}}"

/* One client of one fake service; the fds of both are gone when a test ends. */
static struct fake_service fake;
static struct porter *porter;
static size_t fds_before;

static void converse(const struct fake_step *steps, size_t n_steps)
{
	fake_start(&fake, steps, n_steps);
	ck_assert_int_eq(porter_connect(&porter, fake.address), 0);
}

static void setup(void)
{
	fds_before = fake_count_fds();
	porter = NULL;
}

static void finish(void)
{
	porter_free(TAKE_POINTER(porter));
	ck_assert_str_eq(fake_finish(&fake), "");
	ck_assert_uint_eq(fake_count_fds(), fds_before);
}

/* Closes an fd that the service passed, after a look at its content and its flags. */
static void assert_passed(int fd, char letter)
{
	char content;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq((int)pread(fd, &content, 1, 0), 1);
	ck_assert_int_eq(content, letter);
	(void)close(fd);
}

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
	ck_assert_uint_eq(fake_count_fds(), fds_before);
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
	ck_assert_uint_eq(fake_count_fds(), fds_before);
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

	converse(steps, ELEMENTSOF(steps));
	/* Room for one fd more, once the service has made its own three: besides the listening socket and the
	 * two ends of the connection. */
	while (fake_count_fds() < fds_before + 6)
		(void)usleep(1000);
	lowest = dup(0);
	ck_assert_int_ge(lowest, 0);
	(void)close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
	limit = (struct rlimit){ (rlim_t)lowest + 1, saved.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(porter_open_many(porter, files, 3, fds), -EBADMSG);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
	ck_assert_int_eq(fds[0], -1);
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
	const char *preloaded = getenv("LD_PRELOAD");
	Suite *suite = suite_create("libporter");
	TCase *calls = tcase_create("calls"), *bad = tcase_create("bad service"), *wire = tcase_create("wire");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(calls, setup, NULL);
	tcase_add_test(calls, connect_tells_failures_apart);
	tcase_add_test(calls, open_hands_over_the_fd);
	tcase_add_test(calls, open_many_keeps_the_order);
	tcase_add_test(calls, open_many_takes_as_many_as_the_kernel_passes);
	tcase_add_test(calls, check_and_list);
	tcase_add_test(calls, whoami_reads_all_parts);
	tcase_add_test(calls, check_credentials_asks_what_is_given);
	tcase_add_test(calls, call_passes_text_and_fds);
	tcase_add_test(calls, bad_arguments_send_nothing);
	tcase_add_loop_test(calls, errors_are_told_and_forgotten, 0, ELEMENTSOF(errors));
	tcase_add_test(calls, nothing_can_be_freed);

	tcase_add_checked_fixture(bad, setup, NULL);
	tcase_add_loop_test(bad, bad_open_breaks_the_connection, 0, ELEMENTSOF(bad_opens));
	tcase_add_loop_test(bad, an_index_is_used_once, 0, 6);
	tcase_add_loop_test(bad, bad_answers_break_the_connection, 0, ELEMENTSOF(bad_answers));

	tcase_add_checked_fixture(wire, setup, NULL);
	tcase_set_timeout(wire, 60);
	tcase_add_test(wire, split_replies_are_put_together);
	tcase_add_test(wire, fds_in_the_middle_are_closed);
	tcase_add_test(wire, a_reply_may_be_as_long_as_allowed);
	tcase_add_loop_test(wire, an_early_end_is_a_reset, 0, 3);
	tcase_add_test(wire, a_service_that_left_is_a_reset);
	tcase_add_test(wire, signals_do_not_disturb);
	if (strstr(preloaded ? preloaded : "", "vgpreload"))
		(void)puts("# valgrind keeps RLIMIT_NOFILE from the kernel: what happens at the limit isn't tested");
	else
		tcase_add_test(wire, fds_that_find_no_room_are_not_half_taken);

	suite_add_tcase(suite, calls);
	suite_add_tcase(suite, bad);
	suite_add_tcase(suite, wire);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
