/* SPDX-License-Identifier: MIT
 *
 * What the opener's tests share.
 */
#include "fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macro.h"
#include "kernel/pin.h"

char fixture_directory[PATH_MAX];

void fixture_setup(void)
{
	const char *base = getenv("FIXTURE_BASE");
	char template[PATH_MAX];

	(void)snprintf(template, sizeof(template), "%s/porterd-test-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(template));
	ck_assert_ptr_nonnull(realpath(template, fixture_directory));
	(void)umask(022);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

void fixture_teardown(void)
{
	(void)nftw(fixture_directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_path(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 8];

	ck_assert_int_lt(snprintf(path, PATH_MAX, "%s/%s", fixture_directory, name), PATH_MAX);
	return path;
}

void fixture_write(const char *name, const char *content, mode_t mode)
{
	char path[PATH_MAX];
	size_t size = strlen(content);
	int fd;

	(void)snprintf(path, sizeof(path), "%s", fixture_path(name));
	for (char *slash = path + strlen(fixture_directory) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	(void)close(fd);
}

struct identity fixture_client(uid_t uid, gid_t gid)
{
	return (struct identity){
		.known = IDENTITY_CREDENTIALS | IDENTITY_GROUPS | IDENTITY_PROCESS | IDENTITY_UNIT,
		.uid = uid,
		.gid = gid,
		.pid = 4711,
		.has_groups = true,
		.pidfd = 99,
	};
}

static struct sockaddr_un address_of(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	ck_assert_uint_lt(strlen(fixture_path(name)), sizeof(address.sun_path));
	memcpy(address.sun_path, fixture_path(name), strlen(fixture_path(name)) + 1);
	return address;
}

int fixture_listen(const char *name, int type)
{
	struct sockaddr_un address = address_of(name);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (type != SOCK_DGRAM)
		ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

int fixture_connect(const char *name, int type)
{
	struct sockaddr_un address = address_of(name);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void fixture_need_openat2(void)
{
	int fd = pin_open("/", NULL);

	fd_close(fd);
	if (fd == -ENOSYS)
		unit_skip_all("openat2(2) is not there: an old valgrind does not know it");
}
