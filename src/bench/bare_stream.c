/* SPDX-License-Identifier: MIT
 *
 * The shortest loops for connections: an epoll loop, and blocking calls. Every byte comes back; or, for calls, the
 * reply that porterd gave to the same question.
 */
#include <sys/epoll.h>

#include "base/macro.h"
#include "bench/side.h"

/* 16 KiB would cost bulk 40 % of its rate, 256 KiB gain nothing. */
#define PIECE (64UL * 1024UL)
#define EVENTS 64

struct bare {
	const struct side *side;
	int fd;
};

static char buffer[PIECE];

/* False at the end. */
static bool serve_once(const struct side *side, int fd, int flags)
{
	ssize_t received = recv(fd, buffer, sizeof(buffer), flags);
	const char *answer = buffer;
	size_t size;

	if (received <= 0)
		return received < 0 && errno == EAGAIN;
	size = (size_t)received;
	if (side->reply_size > 0) {
		answer = side->reply;
		size = side->reply_size;
	}

	while (size > 0) {
		ssize_t sent = send(fd, answer, size, flags | MSG_NOSIGNAL);

		/* Waits for a client that does not read yet: only one at a time can have sent so much. */
		if (sent < 0 && errno == EAGAIN)
			sent = send(fd, answer, size, MSG_NOSIGNAL);
		if (sent < 0)
			return false;
		answer += sent;
		size -= (size_t)sent;
	}
	return true;
}

/* Accepts one connection for each wake-up, and receives before epoll learns of it: no other order is faster. */
static void accept_client(const struct side *side, int epoll, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0)
		return;
	if (!serve_once(side, fd, MSG_DONTWAIT) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		(void)close(fd);
}

static int serve_listening(void *data)
{
	const struct bare *bare = data;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event listening = { .events = EPOLLIN, .data.fd = bare->fd };

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, bare->fd, &listening) < 0)
		return -errno;
	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == bare->fd)
				accept_client(bare->side, epoll, fd);
			else if (!serve_once(bare->side, fd, MSG_DONTWAIT))
				(void)close(fd);
		}
	}
}

static int serve_one(void *data)
{
	const struct bare *bare = data;

	/* The client's end is open here, too. As long as it is, this side would never see the client close it. */
	(void)close(bare->side->fd);
	while (serve_once(bare->side, bare->fd, 0))
		;
	return 0;
}

int side_start_bare_stream(struct side *side)
{
	_cleanup_close_ int fd = world_listen(side->world, side->type, side->address, sizeof(side->address));
	struct bare bare = { .side = side, .fd = fd };

	return fd < 0 ? fd
		      : process_fork(&side->servers[0], side->world->places.server, serve_listening, &bare);
}

int side_start_bare_blocking(struct side *side)
{
	_cleanup_close_ int fd = -EBADF;
	struct bare bare = { .side = side };
	int pair[2];

	if (socketpair(AF_UNIX, side->type | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	side->fd = pair[0];
	fd = pair[1];
	bare.fd = fd;
	return process_fork(&side->servers[0], side->world->places.server, serve_one, &bare);
}
