/* SPDX-License-Identifier: MIT
 *
 * A daemon without a systemd around it.
 */
#include "daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/base/unit.h"

void daemon_open(struct daemon *daemon)
{
	static const struct server_options options = { .opener_path = "/nonexistent/opener" };

	daemon->log = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(daemon->log, 0);
	ck_assert_int_eq(recorder_new_stderr(&daemon->recorder, "test", daemon->log), 0);
	ck_assert_int_eq(server_open(&daemon->server, &options, daemon->recorder), 0);
}

void daemon_close(struct daemon *daemon)
{
	server_close(&daemon->server);
	recorder_free(daemon->recorder);
	fd_close(daemon->log);
}

int daemon_connect(struct daemon *daemon, const struct protocol *protocol, int send_buffer)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, protocol->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	for (size_t i = 0; send_buffer > 0 && i < 2; i++)
		ck_assert_int_eq(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)), 0);
	ck_assert_int_eq(connection_add(&daemon->server, protocol, pair[1]), 0);
	return pair[0];
}

static void end_round(void *userdata)
{
	loop_finish(userdata);
}

static bool run_round(struct daemon *daemon, int timeout)
{
	struct loop *loop = &daemon->server.loop;
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

void daemon_settle(struct daemon *daemon)
{
	unsigned quiet = 0;

	while (quiet < 2)
		quiet = run_round(daemon, 1) ? 0 : quiet + 1;
}

void daemon_run_for(struct daemon *daemon, unsigned msec)
{
	struct timespec begin, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		(void)run_round(daemon, 1);
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < (long)msec);
}
