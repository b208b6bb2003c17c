/* SPDX-License-Identifier: MIT
 *
 * What the fuzzers share.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_BUFFER (8 << 20)

static char own_directory[64];

void fuzz_fail(const char *file, int line, const char *condition)
{
	(void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
	abort();
}

void fuzz_pieces_init(struct fuzz_pieces *pieces, const uint8_t *data, size_t size, size_t most)
{
	*pieces = (struct fuzz_pieces){ .data = data, .left = size, .state = 2166136261U };
	if (most > 0) {
		pieces->least = 1 + size / most;
		pieces->spread = 7;
	}
}

size_t fuzz_pieces_next(struct fuzz_pieces *pieces, const uint8_t **ret)
{
	size_t size = pieces->left;

	/* The sizes depend on nothing but the input, so that a finding is one again. */
	if (pieces->least > 0 && size > 0) {
		pieces->state = (pieces->state ^ *pieces->data) * 16777619U;
		size = pieces->least + (pieces->state >> 16) % pieces->spread;
		size = size < pieces->left ? size : pieces->left;
	}
	*ret = pieces->data;
	pieces->data += size;
	pieces->left -= size;
	return size;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

static void remove_directory(void)
{
	(void)nftw(own_directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_directory(void)
{
	if (own_directory[0] == '\0') {
		(void)snprintf(own_directory, sizeof(own_directory), "/tmp/porterd-fuzz-XXXXXX");
		fuzz_expect(mkdtemp(own_directory));
		(void)atexit(remove_directory);
	}
	return own_directory;
}

int fuzz_any_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	fuzz_expect(fd >= 0);
	return fd;
}

static void show_fds(void)
{
	char path[64], target[256];

	for (int fd = 0; fd < 1024; fd++) {
		ssize_t size;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		size = readlink(path, target, sizeof(target));
		if (size > 0)
			(void)fprintf(stderr, "fd %d: %.*s\n", fd, (int)size, target);
	}
}

/* Linux 6.2 and later tell it as the directory's size. */
static size_t count_fds(void)
{
	DIR *directory;
	struct stat status;
	size_t count = 0;

	if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
		return (size_t)status.st_size;
	directory = opendir("/proc/self/fd");
	fuzz_expect(directory);
	while (readdir(directory))
		count++;
	(void)closedir(directory);
	return count;
}

void fuzz_check_fds(void)
{
	static size_t before;
	size_t count = count_fds();

	if (before > 0 && count != before) {
		(void)fprintf(stderr, "there were %zu fds open and now are %zu\n", before, count);
		show_fds();
	}
	fuzz_expect(before == 0 || count == before);
	before = count;
}

void fuzz_socketpair(int type, int pair[2])
{
	const int size = SOCKET_BUFFER;

	fuzz_expect(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	/* Root may go beyond the system's limit; for others it is as large as it gets. */
	for (int i = 0; i < 2; i++)
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			(void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}
