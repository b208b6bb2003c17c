/* SPDX-License-Identifier: MIT
 *
 * Preloaded by tests: a kernel that is short of something. As long as there is a file $SHORT_OF, the system call whose
 * name it begins with fails with the errno whose number follows.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool fails(const char *name)
{
	const char *path = getenv("SHORT_OF");
	FILE *file = path ? fopen(path, "re") : NULL;
	int saved = errno, error = 0;
	char word[32] = "";

	if (!file)
		return false;
	if (fscanf(file, "%31s %d", word, &error) != 2 || strcmp(word, name) != 0)
		error = 0;
	(void)fclose(file);
	errno = error ? error : saved;
	return error != 0;
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	int (*real)(int, struct sockaddr *, socklen_t *, int);

	*(void **)&real = dlsym(RTLD_NEXT, "accept4");
	return fails("accept") ? -1 : real(fd, address, size, flags);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	ssize_t (*real)(int, void *, size_t, int);

	*(void **)&real = dlsym(RTLD_NEXT, "recv");
	return fails("receive") ? -1 : real(fd, buffer, size, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t (*real)(int, struct msghdr *, int);

	*(void **)&real = dlsym(RTLD_NEXT, "recvmsg");
	return fails("receive") ? -1 : real(fd, message, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	int (*real)(int, struct mmsghdr *, unsigned, int, struct timespec *);

	*(void **)&real = dlsym(RTLD_NEXT, "recvmmsg");
	return fails("receive") ? -1 : real(fd, messages, count, flags, timeout);
}

/* Of messages with descriptors, which are what the kernel can have too many of. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int);

	*(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
	return message->msg_controllen > 0 && fails("send") ? -1 : real(fd, message, flags);
}

/* The C library has no function for openat2(), so this stands for it. */
long syscall(long number, ...)
{
	long (*real)(long, ...), arguments[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	return number == SYS_openat2 && fails("openat2") ? -1 : real(number, arguments[0], arguments[1], arguments[2],
								      arguments[3], arguments[4], arguments[5]);
}

int openat(int directory, const char *path, int flags, ...)
{
	int (*real)(int, const char *, int, ...);
	mode_t mode = 0;
	va_list list;

	va_start(list, flags);
	if (flags & O_CREAT)
		mode = va_arg(list, mode_t);
	va_end(list);
	*(void **)&real = dlsym(RTLD_NEXT, "openat");
	return fails("openat") ? -1 : real(directory, path, flags, mode);
}

/* What openat() is called where _FORTIFY_SOURCE is on and the flags are not known before. */
int __openat_2(int directory, const char *path, int flags);
int __openat_2(int directory, const char *path, int flags)
{
	int (*real)(int, const char *, int);

	*(void **)&real = dlsym(RTLD_NEXT, "__openat_2");
	return fails("openat") ? -1 : real(directory, path, flags);
}
