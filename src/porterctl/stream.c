/* SPDX-License-Identifier: MIT
 *
 * Bytes from fds and to fds. Either may be non-blocking: passed files are opened so, and what a shell calls
 * standard output may be shared with somebody who wants it so.
 */
#include "porterctl/stream.h"

#include <poll.h>

#include "base/macro.h"

static int wait_for(int fd, short events)
{
	struct pollfd waited = { .fd = fd, .events = events };

	return poll(&waited, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

ssize_t stream_read(int fd, void *buffer, size_t size)
{
	for (;;) {
		ssize_t received = read(fd, buffer, size);

		if (received >= 0)
			return received;
		if (errno == EAGAIN) {
			int r = wait_for(fd, POLLIN);

			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

int stream_write(int fd, const void *buffer, size_t size)
{
	const char *position = buffer;

	while (size > 0) {
		ssize_t written = write(fd, position, size);

		if (written >= 0) {
			position += written;
			size -= (size_t)written;
		} else if (errno == EAGAIN) {
			int r = wait_for(fd, POLLOUT);

			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}
