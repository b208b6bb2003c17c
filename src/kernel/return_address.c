/* SPDX-License-Identifier: MIT
 *
 * The way back to the sender of a datagram.
 */
#include "kernel/return_address.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "kernel/host.h"
#include "kernel/pin.h"

/* Linux 5.12; Debian 12 has it. */
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

/* The name of a bound socket stays in the kernel's cache as long as it is bound, so a look-up that would have to
 * wait, for an automounter or a file server, is not one of a socket that is there. */
static int pin_cached(const char *path)
{
	int fd = host_pin(path, O_NOFOLLOW, RESOLVE_CACHED);

	/* Old kernels know neither; old versions of valgrind and RestrictSUIDSGID= of systemd take openat2(2) away. */
	if (fd == -ENOSYS || fd == -EINVAL)
		fd = host_open(path, O_PATH | O_NOFOLLOW);
	return fd;
}

static int pin_own_socket(const char *path, uid_t owner)
{
	_cleanup_close_ int pin = pin_cached(path);
	struct stat st;

	if (pin < 0)
		return pin;
	if (fstat(pin, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != owner)
		return -EPERM;
	return TAKE_FD(pin);
}

int return_address_find(struct return_address *ret, const struct sockio_sender *sender)
{
	const struct sockaddr_un *from = (const struct sockaddr_un *)(const void *)&sender->address;
	struct sockaddr_un *to = (struct sockaddr_un *)(void *)&ret->address;

	ret->pin = -EBADF;
	if (sender->address_size <= offsetof(struct sockaddr_un, sun_path))
		return -EDESTADDRREQ;

	if (from->sun_family != AF_UNIX || from->sun_path[0] == '\0') {
		memcpy(&ret->address, &sender->address, sender->address_size);
		ret->size = sender->address_size;
		return 0;
	}

	if (!sender->attested)
		return -ENODATA;
	/* Some paths end with the last byte of the address and no NUL; the storage behind it is zero. */
	ret->pin = pin_own_socket(from->sun_path, sender->credentials.uid);
	if (ret->pin < 0)
		return ret->pin;

	_Static_assert(sizeof(to->sun_path) >= PIN_PROC_PATH_SIZE, "the pin's path fits into an address");
	to->sun_family = AF_UNIX;
	pin_proc_path(ret->pin, to->sun_path);
	ret->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(to->sun_path) + 1);
	return 0;
}

void return_address_clear(struct return_address *address)
{
	fd_close(address->pin);
	address->pin = -EBADF;
}
