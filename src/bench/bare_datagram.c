/* SPDX-License-Identifier: MIT
 *
 * The shortest loop for datagrams: one recvmmsg(2) takes all that wait, one sendmmsg(2) sends them back.
 */
#include <sys/epoll.h>

#include "base/macro.h"
#include "bench/side.h"

#define BATCH 64
#define DATAGRAM_MAX ((size_t)64 * 1024)

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_storage senders[BATCH];
	char data[BATCH][DATAGRAM_MAX];
};

static void prepare(struct batch *batch, int count)
{
	for (int i = 0; i < count; i++) {
		batch->parts[i] = (struct iovec){ batch->data[i], DATAGRAM_MAX };
		batch->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &batch->senders[i],
			.msg_namelen = sizeof(batch->senders[i]),
			.msg_iov = &batch->parts[i],
			.msg_iovlen = 1,
		};
	}
}

static int serve_datagrams(void *data)
{
	static struct batch batch;
	int fd = *(int *)data, epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	prepare(&batch, BATCH);
	for (;;) {
		int count, sent = 0;

		if (epoll_wait(epoll, &event, 1, -1) < 1)
			continue;
		count = recvmmsg(fd, batch.messages, BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < count; i++)
			batch.parts[i].iov_len = batch.messages[i].msg_len;
		while (sent < count) {
			int r = sendmmsg(fd, batch.messages + sent, (unsigned)(count - sent), MSG_NOSIGNAL);

			sent += r > 0 ? r : 1; /* a client that has gone gets nothing */
		}
		prepare(&batch, count);
	}
}

int side_start_bare_datagram(struct side *side)
{
	_cleanup_close_ int fd = world_listen(side->world, SOCK_DGRAM, side->address, sizeof(side->address));

	return fd < 0 ? fd : process_fork(&side->servers[0], side->world->places.server, serve_datagrams, &fd);
}
