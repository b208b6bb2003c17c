/* SPDX-License-Identifier: MIT
 *
 * Connecting to a socket by the name that people give it.
 */
#include "kernel/address.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "base/macro.h"

/* Fills in the address. Returns its size, which is what ends an abstract name. */
static int address_fill(struct sockaddr_un *address, const char *path)
{
	size_t length = strlen(path);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (length == 0)
		return -EINVAL;

	if (path[0] == '@') {
		/* A name alone; without one, connect() would ask for an autobound address. */
		if (length == 1)
			return -EINVAL;
		if (length > sizeof(address->sun_path))
			return -ENAMETOOLONG;
		memcpy(address->sun_path + 1, path + 1, length - 1);
		return (int)(offsetof(struct sockaddr_un, sun_path) + length);
	}

	if (length >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, length + 1);
	return (int)sizeof(*address);
}

int address_connect(const char *path, int type)
{
	static const sa_family_t autobind = AF_UNIX;
	struct sockaddr_un address;
	_cleanup_close_ int fd = -EBADF;
	int size, r;

	size = address_fill(&address, path);
	if (size < 0)
		return size;

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;

	if (type == SOCK_DGRAM &&
	    bind(fd, &(struct sockaddr){ .sa_family = autobind }, sizeof(autobind)) < 0)
		return -errno;

	/* While the listener's queue is full, connect() waits, and a signal ends only that wait: unlike with
	 * TCP nothing has begun that a second connect() could disturb. */
	do
		r = connect(fd, (const struct sockaddr *)&address, (socklen_t)size);
	while (r < 0 && errno == EINTR);

	return r < 0 ? -errno : TAKE_FD(fd);
}
