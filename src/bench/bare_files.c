/* SPDX-License-Identifier: MIT
 *
 * The shortest way of a file: one process asks another one, which opens it; the descriptor comes back by
 * SCM_RIGHTS, and by SCM_RIGHTS it goes on to the client. Nobody is identified, nothing is decided or recorded.
 */
#include <fcntl.h>

#include "base/macro.h"
#include "bench/case.h"
#include "bench/side.h"

struct bare {
	const struct side *side;
	int client; /* listens */
	int pair[2]; /* the front's, the back's */
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int))];
};

static ssize_t send_fd(int socket, const void *data, size_t size, int fd)
{
	union control control = { .space = { 0 } };
	struct iovec part = { (void *)(uintptr_t)data, size };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_NOSIGNAL);
}

static int receive_fd(int socket)
{
	union control control;
	char data[64];
	struct iovec part = { data, sizeof(data) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0 || message.msg_controllen == 0)
		return -EBADF;
	memcpy(&fd, CMSG_DATA(&control.align), sizeof(fd));
	return fd;
}

/* Opens what is asked for by number. */
static int serve_back(void *data)
{
	const struct bare *bare = data;
	char paths[WORLD_FILES][160];

	for (unsigned i = 0; i < WORLD_FILES; i++)
		(void)snprintf(paths[i], sizeof(paths[i]), "%s/files/%u", bare->side->world->directory, i);
	(void)close(bare->pair[0]);
	for (;;) {
		unsigned number;
		int fd;

		if (recv(bare->pair[1], &number, sizeof(number), 0) != sizeof(number) || number >= WORLD_FILES)
			return 0;
		fd = open(paths[number], O_RDWR | O_CLOEXEC);
		if (fd < 0 || send_fd(bare->pair[1], &number, sizeof(number), fd) < 0)
			return -errno;
		(void)close(fd);
	}
}

static int serve_front(void *data)
{
	const struct bare *bare = data;
	char request[EXCHANGE_MAX];
	int client;

	(void)close(bare->pair[1]);
	client = accept4(bare->client, NULL, NULL, SOCK_CLOEXEC);
	while (client >= 0) {
		ssize_t size = recv(client, request, sizeof(request), 0);
		unsigned number = 0;
		int fd;

		if (size <= 0)
			break;
		if (send(bare->pair[0], &number, sizeof(number), MSG_NOSIGNAL) < 0)
			break;
		fd = receive_fd(bare->pair[0]);
		if (fd < 0 || send_fd(client, bare->side->reply, bare->side->reply_size, fd) < 0)
			break;
		(void)close(fd);
	}
	return 0;
}

int side_start_bare_files(struct side *side)
{
	_cleanup_close_ int fd = world_listen(side->world, SOCK_STREAM, side->address, sizeof(side->address));
	struct bare bare = { .side = side, .client = fd };
	int r, cpu = side->world->places.server;

	if (fd < 0)
		return fd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bare.pair) < 0)
		return -errno;
	r = process_fork(&side->servers[0], cpu, serve_front, &bare);
	if (r >= 0)
		r = process_fork(&side->servers[1], cpu, serve_back, &bare);
	fd_close(bare.pair[0]);
	fd_close(bare.pair[1]);
	return r;
}
