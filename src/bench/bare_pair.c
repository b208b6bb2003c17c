/* SPDX-License-Identifier: MIT
 *
 * Two processes of which one opens files and the other hands them to a client.
 */
#include "bench/bare_pair.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/macro.h"

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int))];
};

ssize_t bare_send_fd(int socket, const void *data, size_t size, int fd)
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

int bare_receive_fd(int socket, void *data, size_t size)
{
	union control control;
	struct iovec part = { data, size };
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

int bare_pair_start(struct side *side, int (*front)(void *data), int (*back)(void *data))
{
	_cleanup_close_ int fd = world_listen(side->world, SOCK_STREAM, side->address, sizeof(side->address));
	struct bare_pair pair = { .side = side, .client = fd };
	int r, cpu = side->world->places.server;

	if (fd < 0)
		return fd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.ends) < 0)
		return -errno;
	r = process_fork(&side->servers[0], cpu, front, &pair);
	if (r >= 0)
		r = process_fork(&side->servers[1], cpu, back, &pair);
	fd_close(pair.ends[0]);
	fd_close(pair.ends[1]);
	return r;
}
