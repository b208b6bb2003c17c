/* SPDX-License-Identifier: MIT
 *
 * The fixture of libporter's tests.
 */
#include "conversation.h"

#include <fcntl.h>

#include "base/macro.h"

struct fake_service fake;
struct porter *porter;
size_t fds_before;

void converse(const struct fake_step *steps, size_t n_steps)
{
	fake_start(&fake, steps, n_steps);
	ck_assert_int_eq(porter_connect(&porter, fake.address), 0);
}

void setup(void)
{
	fds_before = unit_count_fds();
	porter = NULL;
}

void finish(void)
{
	porter_free(TAKE_POINTER(porter));
	ck_assert_str_eq(fake_finish(&fake), "");
	ck_assert_uint_eq(unit_count_fds(), fds_before);
}

void assert_passed(int fd, char letter)
{
	char content;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq((int)pread(fd, &content, 1, 0), 1);
	ck_assert_int_eq(content, letter);
	(void)close(fd);
}
