/* SPDX-License-Identifier: MIT
 *
 * Preloaded by tests: a kernel before Linux 6.16, which knows no SO_PASSRIGHTS and so refuses nobody's descriptors.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

#define PASSRIGHTS 83

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	int (*real)(int, int, int, const void *, socklen_t);

	if (level == SOL_SOCKET && option == PASSRIGHTS) {
		errno = ENOPROTOOPT;
		return -1;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "setsockopt");
	return real(fd, level, option, value, size);
}
