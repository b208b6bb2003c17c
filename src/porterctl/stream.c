/* SPDX-License-Identifier: MIT
 *
 * Bytes from fds, which may be non-blocking: passed files are opened so.
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
