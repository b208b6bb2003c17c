/* SPDX-License-Identifier: MIT
 *
 * One of the two that a case compares.
 */
#include "bench/side.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/macro.h"
#include "bench/interruption.h"

/* A server that says nothing for so long is stuck. */
#define PATIENCE_SECONDS 5

int side_make_fds(struct side *side, size_t count)
{
	side->fds = calloc(count, sizeof(*side->fds));
	if (!side->fds)
		return -ENOMEM;
	side->n_fds = count;
	for (size_t i = 0; i < count; i++)
		side->fds[i] = -EBADF;
	return 0;
}

static int set_patience(int fd)
{
	struct timeval patience = { .tv_sec = PATIENCE_SECONDS };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return 0;
}

int side_connect(const struct side *side, int type)
{
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r;

	if (fd < 0)
		return -errno;
	r = set_patience(fd);
	if (r < 0)
		return r;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", side->address);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return TAKE_FD(fd);
}

int side_send_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		at += sent;
		size -= (size_t)sent;
	}
	return 0;
}

int side_receive_all(int fd, void *data, size_t size)
{
	char *at = data;

	while (size > 0) {
		ssize_t received = recv(fd, at, size, 0);

		if (received <= 0)
			return received == 0 ? -EPIPE : errno == EAGAIN ? -ETIMEDOUT : -errno;
		at += received;
		size -= (size_t)received;
	}
	return 0;
}

/* --- the client's process ---------------------------------------------------------------------------------- */

static int run_turn(struct side *side)
{
	struct sample *sample = side->sample;
	uint64_t server = side_server_nsec(side), begin = now_nsec();
	int r = side->load->run(side, begin + side->turn_nsec, sample);

	sample->nsec += now_nsec() - begin;
	sample->server_nsec += side_server_nsec(side) - server;
	return r;
}

struct driver {
	struct side *side;
	int control; /* the client's end */
};

static int drive(void *data)
{
	const struct driver *driver = data;
	struct side *side = driver->side;
	int r = side->load->open(side);

	/* A byte says when to run, and the result goes back. When the parent's end closes, this is over. */
	for (;;) {
		char command;

		if (send(driver->control, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r) ||
		    recv(driver->control, &command, 1, 0) != 1)
			return 0;
		r = run_turn(side);
	}
}

static int wait_client(const struct side *side)
{
	int result;

	for (;;) {
		ssize_t size = recv(side->control, &result, sizeof(result), 0);

		if (size == sizeof(result))
			return result;
		if (size >= 0 || errno != EINTR)
			return -ECHILD;
		if (interrupted())
			return -EINTR;
	}
}

static int start_client(struct side *side)
{
	struct driver driver = { .side = side };
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	side->control = pair[0];
	driver.control = pair[1];
	r = process_fork(&side->client, side->world->places.client, drive, &driver);
	fd_close(pair[1]);
	return r < 0 ? r : wait_client(side);
}

/* --- both together ----------------------------------------------------------------------------------------- */

struct side *sides_new(void)
{
	struct side *sides = mmap(NULL, 2 * sizeof(*sides), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (sides == MAP_FAILED)
		return NULL;
	for (size_t i = 0; i < 2; i++)
		sides[i].fd = sides[i].control = -EBADF;
	return sides;
}

void sides_free(struct side *sides)
{
	for (size_t i = 0; i < 2; i++) {
		struct side *side = &sides[i];

		process_stop(&side->client);
		fd_close(side->control);
		fd_close(side->fd);
		for (size_t j = 0; j < ELEMENTSOF(side->servers); j++)
			process_stop(&side->servers[j]);
	}
	(void)munmap(sides, 2 * sizeof(*sides));
}

int side_allow_fds(const struct side *side)
{
	/* porterd also keeps a pidfd of each client that asked who it is. */
	size_t needed = side->shape->streams + 64, wanted = needed + side->shape->streams;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= wanted)
		return 0;
	if (limit.rlim_max >= needed && limit.rlim_max < wanted)
		wanted = (size_t)limit.rlim_max;
	limit.rlim_cur = wanted;
	limit.rlim_max = limit.rlim_max > limit.rlim_cur ? limit.rlim_max : limit.rlim_cur;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -EMFILE : 0;
}

int side_open(struct side *side, side_start start)
{
	int r = side_allow_fds(side);

	if (r >= 0)
		r = start(side);
	if (r >= 0 && side->fd >= 0)
		r = set_patience(side->fd);
	if (r >= 0)
		r = start_client(side);
	/* The client has its own copy, and the connection is to close when the client does. */
	fd_close(TAKE_FD(side->fd));
	return r;
}

const char *side_not_run(const struct side *side)
{
	for (size_t i = 0; i < ELEMENTSOF(side->servers); i++)
		if (side->servers[i].not_run)
			return side->servers[i].not_run;
	return NULL;
}

uint64_t side_server_nsec(const struct side *side)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ELEMENTSOF(side->servers); i++)
		sum += process_cpu_nsec(&side->servers[i]);
	return sum;
}

int side_run(struct side *side, uint64_t nsec, struct sample *sample)
{
	side->turn_nsec = nsec;
	side->sample = sample;
	if (send(side->control, "r", 1, MSG_NOSIGNAL) != 1)
		return -ECHILD;
	return wait_client(side);
}
