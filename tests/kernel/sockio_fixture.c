/* SPDX-License-Identifier: MIT
 *
 * Connected pairs of sockets.
 */
#include "sockio_fixture.h"

#include <fcntl.h>
#include <stdint.h>

void sockio_pair(int type, int ends[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
}

void sockio_close(const int ends[2])
{
	fd_close(ends[0]);
	fd_close(ends[1]);
}

void sockio_pass(int fd, const void *data, size_t size, size_t n_fds)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct iovec part = { (void *)(uintptr_t)data, size };
	int fds[FDSET_MAX];

	for (size_t i = 0; i < n_fds; i++)
		fds[i] = null;
	ck_assert_int_eq((int)sockio_send_fds(fd, &part, 1, fds, n_fds, 0), (int)size);
}
