/* SPDX-License-Identifier: MIT
 *
 * Asking systemd why porterd is stopped: nobody has to answer. (That it does is tested in booted systems.)
 */
#include "handover/restart.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "tests/base/unit.h"

static char address[128];

/* Where a bus should be. */
static void set_bus(const struct sockaddr_un *at)
{
	(void)snprintf(address, sizeof(address), "unix:abstract=%s", at->sun_path + 1);
	ck_assert_int_eq(setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1), 0);
}

/* Nobody is asked, and nothing is said. */
START_TEST(by_hand_there_is_no_next_one)
{
	struct sockaddr_un at;
	size_t room;

	(void)unit_make_address(&at, "bus");
	set_bus(&at);
	(void)unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(restart_follows(&room), 0);
}
END_TEST

START_TEST(without_a_bus_nobody_can_tell)
{
	struct sockaddr_un at;
	size_t room;

	ck_assert_int_eq(setenv("NOTIFY_SOCKET", "@nobody", 1), 0);
	(void)unit_make_address(&at, "bus");
	set_bus(&at);
	ck_assert_int_lt(restart_follows(&room), 0);
}
END_TEST

/* The library by itself would wait for a minute and a half. */
START_TEST(a_bus_that_says_nothing_is_not_waited_for)
{
	struct sockaddr_un at;
	unsigned size = unit_make_address(&at, "bus");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t begun;
	size_t room;

	ck_assert_int_eq(setenv("NOTIFY_SOCKET", "@nobody", 1), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	set_bus(&at);
	begun = clock_now_usec();
	ck_assert_int_eq(restart_follows(&room), -ETIMEDOUT);
	ck_assert_uint_lt(clock_now_usec() - begun, 2 * RESTART_ASK_USEC);
	fd_close(fd);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(by_hand_there_is_no_next_one),
		UNIT_TEST(without_a_bus_nobody_can_tell),
		UNIT_TEST(a_bus_that_says_nothing_is_not_waited_for),
		{ 0 },
	};

	return unit_run("restart", tests, &(struct unit_around){ .seconds = 20 });
}
