/* SPDX-License-Identifier: MIT
 *
 * Reading from fds. They may be non-blocking, as files that porterd passes are.
 */
#include "porterctl/stream.h"

#include <poll.h>

#include "base/macro.h"

ssize_t stream_read(int fd, void *buffer, size_t size)
{
	for (;;) {
		ssize_t received = read(fd, buffer, size);

		if (received >= 0)
			return received;
		if (errno == EAGAIN) {
			struct pollfd readable = { .fd = fd, .events = POLLIN };

			if (poll(&readable, 1, -1) < 0 && errno != EINTR)
				return -errno;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}
