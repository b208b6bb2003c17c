/* SPDX-License-Identifier: MIT
 *
 * Socket options and the questions that porterd asks of a socket.
 */
#include "kernel/sockopt.h"

#include <limits.h>
#include <linux/sockios.h>
#include <linux/un.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "base/macro.h"

static int set_int(int fd, int option, int value)
{
	return setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int sockopt_refuse_rights(int fd)
{
#ifdef SO_PASSRIGHTS
	return set_int(fd, SO_PASSRIGHTS, 0);
#else
	(void)fd;
	return -ENOPROTOOPT;
#endif
}

int sockopt_pass_nothing(int fd)
{
	int r = sockopt_refuse_rights(fd);

	if (r >= 0)
		r = set_int(fd, SO_PASSCRED, 0);
#ifdef SO_PASSPIDFD
	if (r >= 0)
		r = set_int(fd, SO_PASSPIDFD, 0);
#endif
	return r;
}

int sockopt_pass_credentials(int fd)
{
	return set_int(fd, SO_PASSCRED, 1);
}

int sockopt_pass_attestation(int fd)
{
	int r = sockopt_pass_credentials(fd);

	if (r < 0)
		return r;

	/* Both are extras: without them the sender's unit or label is unknown, not wrong. */
#ifdef SO_PASSPIDFD
	(void)set_int(fd, SO_PASSPIDFD, 1);
#endif
	(void)set_int(fd, SO_PASSSEC, 1);
	return 0;
}

int sockopt_peer_credentials(int fd, struct ucred *ret)
{
	socklen_t size = sizeof(*ret);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &size) < 0)
		return -errno;
	return size == sizeof(*ret) ? 0 : -EBADMSG;
}

int sockopt_peer_groups(int fd, gid_t **ret, size_t *ret_count)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t size = 0;

	/* The kernel answers ERANGE and the size that it needs. The groups of a peer never change after
	 * connect(), so the second call fits. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0) {
		if (errno != ERANGE)
			return -errno;
		groups = malloc(size);
		if (!groups)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
			return -errno;
	}

	*ret = TAKE_POINTER(groups);
	*ret_count = size / sizeof(gid_t);
	return 0;
}

int sockopt_peer_pidfd(int fd)
{
#ifdef SO_PEERPIDFD
	int pidfd;
	socklen_t size = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0) {
		/* The kernel has said EINVAL, ENODATA or ESRCH for a peer that was reaped, by version. */
		return errno == EINVAL || errno == ENODATA ? -ESRCH : -errno;
	}
	return pidfd;
#else
	(void)fd;
	return -ENOPROTOOPT;
#endif
}

int sockopt_peer_label(int fd, char *label, size_t size)
{
	socklen_t length = (socklen_t)(size - 1);

	label[0] = '\0';
	if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &length) < 0)
		return -errno;
	label[length] = '\0';
	return 0;
}

int sockopt_unread(int fd)
{
	int bytes;

	if (ioctl(fd, SIOCOUTQ, &bytes) < 0)
		return -errno;
	return bytes;
}

int sockopt_received(int fd)
{
	int bytes;

	return ioctl(fd, SIOCINQ, &bytes) < 0 ? -errno : bytes;
}

bool sockopt_all_read(int fd)
{
	/* While a message is being freed, its writer is woken with one byte of it still on the account
	 * (sock_wfree() in the kernel). No message is charged as little as this. */
	return sockopt_unread(fd) < 256;
}

int sockopt_cookie(int fd, uint64_t *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &size) < 0 ? -errno : 0;
}

int sockopt_bound_file(int fd)
{
	int file = ioctl(fd, SIOCUNIXFILE);

	return file < 0 ? -errno : file;
}

int sockopt_limit_sending(int fd, uint64_t usec)
{
	struct timeval limit = { .tv_sec = (time_t)(usec / 1000000), .tv_usec = (suseconds_t)(usec % 1000000) };

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ? -errno : 0;
}

int sockopt_grow_send_buffer(int fd)
{
	/* The kernel cuts the value down to net.core.wmem_max and doubles it. */
	return set_int(fd, SO_SNDBUF, INT_MAX / 2);
}

size_t sockopt_packet_max(void)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int size = 0;
	socklen_t length = sizeof(size);

	/* 212,992 bytes is wmem_default and wmem_max of an untuned kernel. */
	if (fd < 0 || sockopt_grow_send_buffer(fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0 || size <= 0)
		return (size_t)2 * 212992;
	return (size_t)size;
}
