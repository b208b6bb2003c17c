/* SPDX-License-Identifier: MIT
 *
 * libporter in two threads with a connection each, and what another program inherits of it.
 */
#include <check.h>
#include <fcntl.h>

#include "base/macro.h"
#include "conversation.h"

#define ROUNDS 200

/* A thread, its service, and what both say: one letter tells them from the other's. */
struct side {
	struct fake_service fake;
	struct fake_step steps[2 * ROUNDS];
	const char *file, *request, *refusal, *name;
	pthread_t thread;
	char failure[200];
};

static struct side sides[] = {
	{ .file = "x",
	  .request = "{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"x\"}}",
	  .refusal = "{\"error\":\"x.x.X\",\"parameters\":{\"reason\":\"x\",\"file\":\"x\"}}",
	  .name = "x.x.X" },
	{ .file = "y",
	  .request = "{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"y\"}}",
	  .refusal = "{\"error\":\"y.y.Y\",\"parameters\":{\"reason\":\"y\",\"file\":\"y\"}}",
	  .name = "y.y.Y" },
};

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* Check's assertions end the whole process from any thread, so what went wrong is kept for the first one. */
static void *use_connection(void *argument)
{
	struct side *side = argument;
	struct porter *mine = NULL;
	int r = porter_connect(&mine, side->fake.address);

	for (size_t i = 0; r == 0 && i < ROUNDS; i++) {
		int fd = -1;

		r = porter_open(mine, side->file, &fd);
		if (r != 0 || porter_error_name(mine))
			break;
		(void)close(fd);

		r = porter_open(mine, side->file, &fd);
		if (r != -EREMOTEIO)
			break;
		r = same(porter_error_name(mine), side->name) && same(porter_error_reason(mine), side->file) &&
				    same(porter_error_file(mine), side->file)
			    ? 0
			    : -EXDEV;
	}
	if (r != 0)
		(void)snprintf(side->failure, sizeof(side->failure), "%s: %s, %s", side->file, strerror(-r),
			       porter_error_name(mine) ? porter_error_name(mine) : "no error of the service");
	porter_free(mine);
	return NULL;
}

START_TEST(two_threads_with_a_connection_each)
{
	for (size_t i = 0; i < ELEMENTSOF(sides); i++) {
		struct side *side = &sides[i];

		for (size_t j = 0; j < 2 * ROUNDS; j += 2) {
			side->steps[j] = (struct fake_step){ .expect = side->request,
							     .send = "{\"parameters\":{\"descriptor\":0}}",
							     .n_fds = 1 };
			side->steps[j + 1] =
				(struct fake_step){ .expect = side->request, .send = side->refusal };
		}
		fake_start(&side->fake, side->steps, 2 * ROUNDS);
	}
	for (size_t i = 0; i < ELEMENTSOF(sides); i++)
		ck_assert_int_eq(pthread_create(&sides[i].thread, NULL, use_connection, &sides[i]), 0);
	for (size_t i = 0; i < ELEMENTSOF(sides); i++) {
		ck_assert_int_eq(pthread_join(sides[i].thread, NULL), 0);
		ck_assert_str_eq(fake_finish(&sides[i].fake), "");
		ck_assert_str_eq(sides[i].failure, "");
	}
	ck_assert_uint_eq(unit_count_fds(), fds_before);
}
END_TEST

START_TEST(a_connection_is_closed_on_exec)
{
	int lowest = dup(0);

	/* The service has its listening socket before, and the other end of the connection only after. */
	ck_assert_int_ge(lowest, 0);
	(void)close(lowest);
	converse(NULL, 0);
	(void)pthread_join(fake.thread, NULL);
	for (int fd = lowest; fd < lowest + 3; fd++) {
		int flags = fcntl(fd, F_GETFD);

		ck_assert(flags < 0 || flags == FD_CLOEXEC);
	}
	ck_assert_uint_eq(unit_count_fds(), fds_before + 2);
	porter_free(TAKE_POINTER(porter));
	fd_close(fake.listener);
}
END_TEST

START_TEST(nothing_is_asked_of_no_connection)
{
	ck_assert_ptr_null(porter_error_name(NULL));
	ck_assert_ptr_null(porter_error_reason(NULL));
	ck_assert_ptr_null(porter_error_file(NULL));
	ck_assert_ptr_null(porter_error_parameters(NULL));
	porter_free(NULL);
	porter_files_free(NULL);
	porter_credentials_free(NULL);
	porter_strings_free(NULL);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(two_threads_with_a_connection_each),
		UNIT_TEST(a_connection_is_closed_on_exec),
		UNIT_TEST(nothing_is_asked_of_no_connection),
		{ 0 },
	};

	return unit_run("libporter threads", tests, &(struct unit_around){ .seconds = 60, .setup = setup });
}
