/* SPDX-License-Identifier: MIT
 *
 * A daemon without a systemd around it.
 */
#include "tests/porterd/alone.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/base/unit.h"

void alone_open(struct alone *alone)
{
	const struct daemon_options options = { .config = config_default(), .opener_path = "/nonexistent/opener" };
	const char *what;

	alone->log = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(alone->log, 0);
	ck_assert_int_eq(recorder_new_stderr(&alone->recorder, "test", alone->log), 0);
	manager_init(&alone->manager);
	ck_assert_int_eq(daemon_open(&alone->daemon, &options, &alone->manager.master, alone->recorder, &what), 0);
}

void alone_close(struct alone *alone)
{
	daemon_close(&alone->daemon);
	recorder_free(alone->recorder);
	fd_close(alone->log);
}

int alone_connect(struct alone *alone, const struct protocol *protocol, int send_buffer)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, protocol->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	for (size_t i = 0; send_buffer > 0 && i < 2; i++)
		ck_assert_int_eq(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)), 0);
	ck_assert_int_eq(connection_add(&alone->daemon.population, protocol, pair[1]), 0);
	return pair[0];
}

static void end_round(void *userdata)
{
	loop_finish(userdata);
}

static bool run_round(struct alone *alone, int timeout)
{
	struct loop *loop = &alone->daemon.loop;
	struct pollfd pollfd = { .fd = loop->epoll_fd, .events = POLLIN };

	if (!loop->event_pending && !loop->retired && poll(&pollfd, 1, timeout) == 0)
		return false;
	/* What was retired outside of the loop has no event of its own to wait for. */
	if (loop->retired)
		loop_event_changed(loop);
	loop->finished = false;
	ck_assert_int_eq(loop_run(loop, end_round, loop), 0);
	return true;
}

void alone_settle(struct alone *alone)
{
	unsigned quiet = 0;

	while (quiet < 2)
		quiet = run_round(alone, 1) ? 0 : quiet + 1;
}

void alone_run_for(struct alone *alone, unsigned msec)
{
	struct timespec begin, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		(void)run_round(alone, 1);
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < (long)msec);
}
