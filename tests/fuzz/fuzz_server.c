/* SPDX-License-Identifier: MIT
 *
 * One daemon for all inputs.
 */
#include "tests/fuzz/fuzz_server.h"

#include <poll.h>
#include <sys/socket.h>

#include "kernel/sockio.h"
#include "tests/fuzz/fuzz.h"

#define ROUNDS_MAX 100000

static struct daemon server;
static struct manager manager;
static struct recorder *recorder;

void fuzz_server_open(const char *opener_path)
{
	const struct daemon_options options = { .config = config_default(), .opener_path = opener_path };
	const char *what;

	if (recorder)
		return;
	fuzz_expect(recorder_new_stderr(&recorder, "fuzz", fuzz_any_fd()) == 0);
	manager_init(&manager);
	fuzz_expect(daemon_open(&server, &options, &manager.master, recorder, &what) == 0);
}

struct population *fuzz_server(void)
{
	return &server.population;
}

int fuzz_server_connect(const struct protocol *protocol)
{
	int pair[2];

	fuzz_socketpair(protocol->type, pair);
	fuzz_expect(connection_add(&server.population, protocol, pair[1]) == 0);
	return pair[0];
}

static void end_round(void *userdata)
{
	loop_finish(userdata);
}

void fuzz_server_run(void)
{
	struct loop *loop = &server.loop;
	struct pollfd ready = { .fd = loop->epoll_fd, .events = POLLIN };

	for (unsigned i = 0; loop->event_pending || loop->retired || poll(&ready, 1, 0) > 0; i++) {
		/* Something is always ready, and never done. */
		fuzz_expect(i < ROUNDS_MAX);
		if (loop->retired)
			loop_event_changed(loop);
		loop->finished = false;
		fuzz_expect(loop_run(loop, end_round, loop) == 0);
	}
}

void fuzz_server_check_idle(void)
{
	const struct population *population = &server.population;

	fuzz_expect(population->n_connections == 0 && !population->connections.first);
	fuzz_expect(population->quota.limits[QUOTA_DESCRIPTORS].total == 0);
}

bool fuzz_server_receive(int fd, char **data, size_t *size, size_t *n_fds)
{
	for (;;) {
		struct fdset fds;
		ssize_t received;

		*data = realloc(*data, *size + 65536);
		fuzz_expect(*data);
		received = sockio_receive_fds(fd, *data + *size, 65536, &fds, MSG_DONTWAIT);
		/* A peer that has left something unread is told first, and then what it had sent. */
		if (received == -ECONNRESET)
			continue;
		if (received == -EAGAIN)
			return false;
		fuzz_expect(received >= 0);
		if (received == 0)
			return true;
		*size += (size_t)received;
		*n_fds += fds.count;
		fdset_clear(&fds);
	}
}
