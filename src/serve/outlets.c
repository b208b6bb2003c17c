/* SPDX-License-Identifier: MIT
 *
 * Sockets for answers to datagrams.
 */
#include "serve/outlets.h"

#include <sys/socket.h>

#include "base/macro.h"
#include "kernel/sockopt.h"

void outlets_init(struct outlets *outlets)
{
	for (size_t i = 0; i < OUTLETS_MAX; i++)
		outlets->all[i].fd = -EBADF;
}

void outlets_clear(struct outlets *outlets)
{
	for (size_t i = 0; i < OUTLETS_MAX; i++)
		fd_close(TAKE_FD(outlets->all[i].fd)); /* none, beyond those that were opened */
}

static int take(struct outlet *outlet, uid_t uid, const struct sockio_sender *to)
{
	if (outlet->fd < 0) {
		outlet->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (outlet->fd < 0)
			return -errno;
	}
	outlet->uid = uid;
	outlet->to = *to;
	outlet->to.pidfd = -EBADF;
	return outlet->fd;
}

int outlets_find(struct outlets *outlets, uid_t uid, const struct sockio_sender *to)
{
	struct outlet *end = outlets->all + OUTLETS_MAX, *outlet, *unused = NULL, *least = NULL;
	int least_unread = 0;
	size_t own = 0;

	/* They are opened in this order. */
	for (outlet = outlets->all; outlet < end && outlet->fd >= 0; outlet++) {
		int unread;

		if (outlet->uid == uid && sender_is(&outlet->to, to))
			return outlet->fd;
		unread = sockopt_unread(outlet->fd);
		if (unread == 0) {
			unused = outlet;
			continue;
		}
		if (outlet->uid != uid)
			continue;
		own++;
		if (!least || unread < least_unread) {
			least = outlet;
			least_unread = unread;
		}
	}
	if (!unused && outlet < end)
		unused = outlet;
	if (own < OUTLETS_PER_USER_MAX && unused)
		return take(unused, uid, to);
	return least ? least->fd : -EAGAIN;
}
