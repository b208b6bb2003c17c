/* SPDX-License-Identifier: MIT
 *
 * Opening: what comes out for each kind of file and grant.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "open_fixture.h"

static const struct {
	enum grant_access access;
	int flags, append;
} accesses[] = {
	{ GRANT_READ, O_RDONLY, 0 },
	{ GRANT_WRITE, O_WRONLY, 0 },
	{ GRANT_READ_WRITE, O_RDWR, 0 },
	{ GRANT_APPEND, O_WRONLY, O_APPEND },
};

START_TEST(a_regular_file)
{
	struct grant grant;
	struct stat status;

	fixture_write("file", "content", 0644);
	grant = grant_for("file", accesses[_i].access);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_flags(accesses[_i].flags, accesses[_i].append);

	/* Never truncated, and noted for the record. */
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_int_eq(status.st_size, 7);
	ck_assert(opened.found);
	ck_assert_uint_eq(opened.device, status.st_dev);
	ck_assert_uint_eq(opened.inode, status.st_ino);
	ck_assert_int_eq(lseek(opened.fd, 0, SEEK_CUR), 0);
}
END_TEST

START_TEST(appending_appends)
{
	struct grant grant = grant_for("file", GRANT_APPEND);
	char content[16] = "";
	int fd;

	fixture_write("file", "one", 0600);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(write(opened.fd, "two", 3), 3);
	fd = open(fixture_path("file"), O_RDONLY);
	ck_assert_int_eq(read(fd, content, sizeof(content) - 1), 6);
	ck_assert_str_eq(content, "onetwo");
	(void)close(fd);
}
END_TEST

START_TEST(wrong_types)
{
	static const enum grant_type types[] = { GRANT_REGULAR, GRANT_DEVICE, GRANT_SOCKET };
	static const struct {
		const char *name;
		int fits; /* -1: no grant does */
	} files[] = { { "file", GRANT_REGULAR }, { "directory", -1 }, { "fifo", -1 }, { "/dev/null", GRANT_DEVICE },
		      { "socket", GRANT_SOCKET } };
	int listener;

	fixture_write("file", "", 0644);
	ck_assert_int_eq(mkdir(fixture_path("directory"), 0755), 0);
	ck_assert_int_eq(mkfifo(fixture_path("fifo"), 0666), 0);
	listener = fixture_listen("socket", SOCK_STREAM);

	for (size_t i = 0; i < ELEMENTSOF(files); i++)
		for (size_t j = 0; j < ELEMENTSOF(types); j++)
			for (size_t k = 0; k < ELEMENTSOF(accesses); k++) {
				if (files[i].fits == (int)types[j] || types[j] == GRANT_SOCKET)
					continue;
				ck_assert_int_eq(refused(files[i].name, accesses[k].access, types[j]),
						 OPENER_WRONG_TYPE);
			}
	ck_assert_int_eq(refused("file", GRANT_READ_WRITE, GRANT_SOCKET), OPENER_WRONG_TYPE);
	ck_assert_int_eq(refused("fifo", GRANT_READ, GRANT_REGULAR), OPENER_WRONG_TYPE);
	ck_assert_str_eq(opened.reason, "it is a FIFO");
	(void)close(listener);
}
END_TEST

START_TEST(kernel_controls)
{
	ck_assert_int_eq(refused("/proc/version", GRANT_READ, GRANT_REGULAR), OPENER_WRONG_TYPE);
	ck_assert_str_eq(opened.reason, "it is on a file system of kernel controls");
	ck_assert_int_eq(refused("/proc/sys/kernel/core_pattern", GRANT_WRITE, GRANT_REGULAR), OPENER_WRONG_TYPE);
	if (access("/sys/kernel", F_OK) == 0)
		ck_assert_int_eq(refused("/sys/kernel/profiling", GRANT_READ, GRANT_REGULAR),
				 access("/sys/kernel/profiling", F_OK) == 0 ? OPENER_WRONG_TYPE :
									      OPENER_FILE_MISSING);
}
END_TEST

START_TEST(missing)
{
	fixture_write("file", "", 0644);
	ck_assert_int_eq(refused("none", GRANT_READ, GRANT_REGULAR), OPENER_FILE_MISSING);
	ck_assert(!opened.found);
	ck_assert_int_eq(refused("none/none", GRANT_READ, GRANT_REGULAR), OPENER_FILE_MISSING);
	ck_assert_int_eq(refused("file/none", GRANT_READ, GRANT_REGULAR), OPENER_FILE_MISSING);
}
END_TEST

START_TEST(links)
{
	struct grant grant;

	fixture_write("dir/archive/key", "key", 0644);
	fixture_write("dir/live/x", "", 0644);
	fixture_write("outside", "", 0644);
	ck_assert_int_eq(symlink("../archive/key", fixture_path("dir/live/key")), 0);
	ck_assert_int_eq(symlink("../../outside", fixture_path("dir/live/out")), 0);

	ck_assert_int_eq(refused("dir/live/key", GRANT_READ, GRANT_REGULAR), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(opened.reason, "a symbolic link is in the way");
	grant = grant_for("dir/live/key", GRANT_READ);
	grant.within = (char *)(uintptr_t)fixture_path("dir");
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	grant = grant_for("dir/live/out", GRANT_READ);
	grant.within = (char *)(uintptr_t)fixture_path("dir");
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(opened.reason, "a symbolic link leads out of Within=");
}
END_TEST

START_TEST(devices)
{
	struct grant grant = grant_for("/dev/null", GRANT_WRITE);

	grant.type = GRANT_DEVICE;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_flags(O_WRONLY, 0);
	grant.access = GRANT_READ_WRITE;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_flags(O_RDWR, 0);
	/* Everybody may write /dev/null: there is no reading it alone. */
	grant.access = GRANT_READ;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_UNSAFE_MODE);
}
END_TEST

static const int socket_types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

START_TEST(sockets)
{
	int listener = fixture_listen("socket", socket_types[_i]), type = 0;
	struct grant grant = grant_for("socket", GRANT_READ_WRITE);
	socklen_t size = sizeof(type);
	char byte = 0;

	grant.type = GRANT_SOCKET;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_flags(O_RDWR, 0);
	ck_assert_int_eq(getsockopt(opened.fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
	ck_assert_int_eq(type, socket_types[_i]);

	ck_assert_int_eq(write(opened.fd, "x", 1), 1);
	if (socket_types[_i] != SOCK_DGRAM) {
		int accepted = accept(listener, NULL, NULL);

		ck_assert_int_eq(read(accepted, &byte, 1), 1);
		(void)close(accepted);
	} else {
		ck_assert_int_eq(read(listener, &byte, 1), 1);
	}
	ck_assert_int_eq(byte, 'x');

	opened_clear(&opened);
	(void)close(listener);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_FILE_MISSING);
	ck_assert_str_eq(opened.reason, "nobody listens on the socket");
}
END_TEST

START_TEST(a_full_socket_is_busy)
{
	struct grant grant = grant_for("socket", GRANT_READ_WRITE);
	int listener = fixture_listen("socket", SOCK_STREAM), others[16];
	size_t n = 0;

	ck_assert_int_eq(listen(listener, 1), 0);
	grant.type = GRANT_SOCKET;
	while (n < ELEMENTSOF(others) && open_for(&grant, STRANGER) == OPENER_OK)
		others[n++] = TAKE_FD(opened.fd);
	ck_assert_uint_lt(n, ELEMENTSOF(others));
	ck_assert_int_eq(opened.result, OPENER_BUSY);
	while (n > 0)
		(void)close(others[--n]);
	(void)close(listener);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(a_regular_file, ELEMENTSOF(accesses)),
		UNIT_TEST(appending_appends),
		UNIT_TEST(wrong_types),
		UNIT_TEST(kernel_controls),
		UNIT_TEST(missing),
		UNIT_TEST(links),
		UNIT_TEST(devices),
		UNIT_LOOP(sockets, ELEMENTSOF(socket_types)),
		UNIT_TEST(a_full_socket_is_busy),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("open", tests, &(struct unit_around){ open_setup, open_teardown, 0 });
}
