/* SPDX-License-Identifier: MIT
 *
 * One Varlink message at a time over a blocking stream socket.
 */
#include "libporter/wire.h"

#include "base/macro.h"
#include "kernel/sockio.h"
#include "libporter/porter.h"

/* Most replies fit at once; a longer one doubles the buffer as it comes. */
#define WIRE_FIRST_SIZE ((size_t)4096)

int wire_send(int fd, const void *message, size_t size)
{
	const char *position = message;

	while (size > 0) {
		ssize_t sent = sockio_send(fd, position, size, 0);

		if (sent == -EINTR)
			continue;
		if (sent == -EPIPE)
			return -ECONNRESET;
		if (sent < 0)
			return (int)sent;
		position += sent;
		size -= (size_t)sent;
	}
	return 0;
}

static int buffer_grow(char **buffer, size_t *capacity)
{
	size_t larger = *capacity == 0 ? WIRE_FIRST_SIZE : *capacity * 2;
	char *moved;

	if (*capacity > PORTER_MESSAGE_MAX)
		return -EMSGSIZE;
	if (larger > PORTER_MESSAGE_MAX)
		larger = PORTER_MESSAGE_MAX + 1; /* the NUL */

	moved = realloc(*buffer, larger);
	if (!moved)
		return -ENOMEM;
	*buffer = moved;
	*capacity = larger;
	return 0;
}

/* Receives the next bytes, and fds only with the first of them: that is where a message has its fds. */
static ssize_t receive_some(int fd, char *buffer, size_t size, bool first, struct fdset *fds)
{
	_cleanup_(fdset_clear) struct fdset arrived;
	ssize_t received;

	do
		received = sockio_receive_fds(fd, buffer, size, &arrived, 0);
	while (received == -EINTR);

	if (received == 0)
		return -ECONNRESET;
	if (received < 0 || arrived.count == 0)
		return received;
	if (!first)
		return -EBADMSG;

	fdset_move(fds, &arrived);
	return received;
}

int wire_receive(int fd, char **ret, size_t *ret_size, struct fdset *fds)
{
	_cleanup_free_ char *buffer = NULL;
	size_t capacity = 0, used = 0;

	for (;;) {
		const char *end;
		ssize_t received;

		if (used == capacity) {
			int r = buffer_grow(&buffer, &capacity);

			if (r < 0)
				return r;
		}

		received = receive_some(fd, buffer + used, capacity - used, used == 0, fds);
		if (received < 0)
			return (int)received;

		end = memchr(buffer + used, '\0', (size_t)received);
		used += (size_t)received;
		if (!end)
			continue;

		/* One call is answered by one reply, so nothing may follow it yet. */
		if (end != buffer + used - 1)
			return -EBADMSG;

		*ret_size = used - 1;
		*ret = TAKE_POINTER(buffer);
		return 0;
	}
}
