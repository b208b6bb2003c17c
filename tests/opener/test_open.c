/* SPDX-License-Identifier: MIT
 *
 * Opening: what comes out for each kind of file and grant, and what is refused for good reason. What needs root
 * is at the end, and is skipped where the tests run without.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "fixture.h"
#include "kernel/pin.h"
#include "opener/open.h"

#define STRANGER 12345

static struct opened opened;

static void setup(void)
{
	fixture_setup();
	opened_init(&opened);
}

static void teardown(void)
{
	opened_clear(&opened);
	fixture_teardown();
}

static struct grant grant_for(const char *name, enum grant_access access)
{
	return (struct grant){
		.name = "file",
		.path = (char *)(uintptr_t)(name[0] == '/' ? name : fixture_path(name)),
		.access = access,
		.mode = 0600,
	};
}

static enum opener_result open_for(const struct grant *grant, uid_t uid)
{
	struct identity client = fixture_client(uid, uid);
	struct opened checked;
	enum opener_result result;

	/* The dry run says the same, opens nothing and makes nothing. */
	open_check(grant, &client, &checked);
	ck_assert_int_lt(checked.fd, 0);

	opened_clear(&opened);
	result = open_grant(grant, &client, &opened);
	ck_assert_int_eq(result, opened.result);
	ck_assert_int_eq(result == OPENER_OK, opened.fd >= 0);
	ck_assert_int_eq(result == OPENER_OK, opened.reason[0] == '\0');
	if (grant->type == GRANT_REGULAR && !grant->copy)
		ck_assert_int_eq(checked.result, result);
	return result;
}

static enum opener_result refused(const char *name, enum grant_access access, enum grant_type type)
{
	struct grant grant = grant_for(name, access);

	grant.type = type;
	return open_for(&grant, STRANGER);
}

/* Checks the fd's flags as a receiver sees them. */
static void ck_flags(int access, int append)
{
	int flags = fcntl(opened.fd, F_GETFL);

	ck_assert_int_eq(flags & O_ACCMODE, access);
	ck_assert_int_eq(flags & O_APPEND, append);
	ck_assert_int_eq(flags & (O_NONBLOCK | O_PATH), 0);
	ck_assert_int_eq(fcntl(opened.fd, F_GETFD), FD_CLOEXEC);
}

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

/* The test's directory is its user's, so not root's alone, or below /tmp. */
START_TEST(hard_links_in_shared_directories)
{
	fixture_write("file", "", 0644);
	ck_assert_int_eq(link(fixture_path("file"), fixture_path("other")), 0);
	ck_assert_int_eq(refused("file", GRANT_READ, GRANT_REGULAR), OPENER_NOT_PERMITTED);
	ck_assert_ptr_nonnull(strstr(opened.reason, "it has 2 hard links"));
	ck_assert_int_eq(unlink(fixture_path("other")), 0);
	ck_assert_int_eq(refused("file", GRANT_READ, GRANT_REGULAR), OPENER_OK);
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

/* By mode and owner of a file: may a client with a read grant have its descriptor? Its directories are no
 * excuse: the client's mounts need not be those of the opener. */
static const struct {
	mode_t file, directory;
	bool owner, group;
	enum opener_result result;
} modes[] = {
	{ 0644, 0755, false, false, OPENER_OK },
	{ 0600, 0700, false, false, OPENER_OK },
	{ 0666, 0700, false, false, OPENER_UNSAFE_MODE },
	{ 0602, 0700, false, false, OPENER_UNSAFE_MODE },
	{ 0666, 0755, false, false, OPENER_UNSAFE_MODE },
	{ 0666, 0711, false, false, OPENER_UNSAFE_MODE },
	{ 0660, 0755, false, false, OPENER_OK },
	{ 0640, 0755, false, true, OPENER_OK },
	{ 0660, 0755, false, true, OPENER_UNSAFE_MODE },
	{ 0606, 0755, false, true, OPENER_UNSAFE_MODE }, /* a group can be left */
	{ 0444, 0755, true, false, OPENER_UNSAFE_MODE }, /* the owner can chmod() */
	{ 0400, 0700, true, false, OPENER_UNSAFE_MODE },
};

/* Root owns nearly everything: a path that it can search by modes alone counts for it as for nobody else. */
static const struct {
	mode_t file, directory;
	uid_t owner;
	enum opener_result result;
} root_modes[] = {
	{ 0600, 0700, 0, OPENER_OK },
	{ 0600, 0077, 0, OPENER_UNSAFE_MODE },
	{ 0666, 0700, STRANGER, OPENER_UNSAFE_MODE },
	{ 0666, 0711, STRANGER, OPENER_OK },
};

START_TEST(unsafe_modes)
{
	struct identity client = fixture_client(STRANGER, STRANGER);
	struct grant grant = grant_for("closed/file", GRANT_READ);
	struct stat status;

	fixture_write("closed/file", "content", 0600);
	ck_assert_int_eq(stat(fixture_path("closed/file"), &status), 0);
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
	if (modes[_i].owner) {
		client.uid = STRANGER;
		if (getuid() == 0)
			ck_assert_int_eq(chown(fixture_path("closed/file"), STRANGER, 0), 0);
		else
			client.uid = status.st_uid;
	}
	if (modes[_i].group)
		client.gid = status.st_gid;
	ck_assert_int_eq(chmod(fixture_path("closed/file"), modes[_i].file), 0);
	ck_assert_int_eq(chmod(fixture_path("closed"), modes[_i].directory), 0);
	ck_assert_msg(open_grant(&grant, &client, &opened) == modes[_i].result, "%d: %s", opened.result,
		      opened.reason);
	opened_clear(&opened);

	/* A copy gives nothing away. */
	grant.copy = true;
	ck_assert_int_eq(open_grant(&grant, &client, &opened), OPENER_OK);
	ck_assert_int_eq(chmod(fixture_path("closed"), 0700), 0);
}
END_TEST

/* user::rw-, user:STRANGER:PERMISSIONS, group::r--, mask::PERMISSIONS, other::--- as the kernel keeps it. */
static int set_acl_of(const char *path, const char *name, uint16_t permissions)
{
	const struct {
		uint32_t version;
		struct {
			uint16_t tag, permissions;
			uint32_t id;
		} entries[5];
	} acl = { 2,
		  { { 1, 7, ~0U }, { 2, permissions, STRANGER }, { 4, 4, ~0U }, { 16, permissions, ~0U },
		    { 32, 0, ~0U } } };

	return setxattr(path, name, &acl, sizeof(acl), 0);
}

static int set_acl(const char *path, uint16_t permissions)
{
	return set_acl_of(path, "system.posix_acl_access", permissions);
}

START_TEST(unsafe_lists)
{
	struct grant grant = grant_for("closed/file", GRANT_READ);

	fixture_write("closed/file", "content", 0600);
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
	ck_assert_int_eq(chmod(fixture_path("closed"), 0700), 0);
	if (set_acl(fixture_path("closed/file"), 6) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		return;
	}
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_UNSAFE_MODE);
	ck_assert_int_eq(set_acl(fixture_path("closed/file"), 4), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
}
END_TEST

START_TEST(copies)
{
	struct grant grant = grant_for("file", GRANT_READ);
	char content[16] = "", proc[64];
	int fd;

	grant.copy = true;
	fixture_write("file", "content", 0600);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_flags(O_RDONLY, 0);
	ck_assert_int_eq(fcntl(opened.fd, F_GET_SEALS) & 0xf,
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);

	/* It is what it was, from its beginning, and stays so. */
	fixture_write("file", "changed", 0600);
	ck_assert_int_eq(read(opened.fd, content, sizeof(content) - 1), 7);
	ck_assert_str_eq(content, "content");
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", opened.fd);
	fd = open(proc, O_RDWR);
	ck_assert(fd < 0 || (write(fd, "x", 1) < 0 && errno == EPERM));
	fd_close(fd);
	ck_assert_int_lt(ftruncate(opened.fd, 0), 0);
}
END_TEST

/* What a program like PostgreSQL asks of a key's file: nobody but its owner, root, and the reader has it. */
START_TEST(copies_are_for_one_reader)
{
	struct grant grant = grant_for("file", GRANT_READ);
	struct stat status;

	grant.copy = true;
	fixture_write("file", "content", 0600);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0440);
	ck_assert_uint_eq(status.st_uid, geteuid());
	ck_assert_int_eq(pin_has_acl(opened.fd), PIN_ACL_POSIX);

	ck_assert_int_eq(open_for(&grant, geteuid()), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0400);
	ck_assert_int_eq(pin_has_acl(opened.fd), PIN_ACL_NONE);
}
END_TEST

START_TEST(copies_are_bounded)
{
	struct grant grant = grant_for("file", GRANT_READ);
	struct stat status;

	grant.copy = true;
	fixture_write("file", "", 0644);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(truncate(fixture_path("file"), (off_t)OPEN_COPY_MAX), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_int_eq(status.st_size, (off_t)OPEN_COPY_MAX);
	ck_assert_int_eq(truncate(fixture_path("file"), (off_t)OPEN_COPY_MAX + 1), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_NOT_PERMITTED);
	ck_assert_ptr_nonnull(strstr(opened.reason, "it is larger than the 4194304 bytes"));
}
END_TEST

START_TEST(creation)
{
	struct identity client = fixture_client(STRANGER, STRANGER);
	struct grant grant = grant_for("new", GRANT_APPEND);
	struct opened checked;
	struct stat status;

	grant.create = true;
	grant.mode = 0646; /* more than the umask leaves */
	(void)umask(077);
	ck_assert_int_eq(open_check(&grant, &client, &checked), OPENER_OK);
	ck_assert_int_lt(access(fixture_path("new"), F_OK), 0);

	ck_assert_int_eq(open_grant(&grant, &client, &opened), OPENER_OK);
	ck_flags(O_WRONLY, O_APPEND);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0646);
	ck_assert_uint_eq(status.st_uid, geteuid());
	ck_assert_uint_eq(opened.inode, status.st_ino);
	ck_assert_int_eq(write(opened.fd, "x", 1), 1);

	/* It is there now, and stays as it is. */
	ck_assert_int_eq(chmod(fixture_path("new"), 0600), 0);
	opened_clear(&opened);
	ck_assert_int_eq(open_grant(&grant, &client, &opened), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	ck_assert_int_eq(status.st_size, 1);
}
END_TEST

START_TEST(creation_follows_nothing)
{
	struct grant grant = grant_for("live/new", GRANT_WRITE);

	fixture_write("live/x", "", 0644);
	ck_assert_int_eq(symlink("target", fixture_path("live/new")), 0);
	grant.create = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_NOT_PERMITTED);

	/* Not even beneath Within=: a link that leads nowhere may not say what is made. The dry run can't tell. */
	grant.within = (char *)(uintptr_t)fixture_path("live");
	opened_clear(&opened);
	ck_assert_int_eq(open_grant(&grant, &(struct identity){ .uid = STRANGER }, &opened), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(opened.reason, "a symbolic link that leads nowhere is in its place");
	ck_assert_int_lt(access(fixture_path("live/target"), F_OK), 0);

	grant = grant_for("live/none/new", GRANT_WRITE);
	grant.create = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_FILE_MISSING);
	grant = grant_for("/proc/new", GRANT_WRITE);
	grant.create = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_WRONG_TYPE);
}
END_TEST

/* A list that the file would inherit gives others what Mode= keeps for its owner. */
START_TEST(creation_inherits_nothing)
{
	struct grant grant = grant_for("listed/new", GRANT_WRITE);

	fixture_write("listed/x", "", 0644);
	if (set_acl_of(fixture_path("listed"), "system.posix_acl_default", 6) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		return;
	}
	grant.create = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_NOT_PERMITTED);
	ck_assert_ptr_nonnull(strstr(opened.reason, "default access control list"));
	ck_assert_int_lt(access(fixture_path("listed/new"), F_OK), 0);
}
END_TEST

/* --- as root ----------------------------------------------------------------------------------------------- */

START_TEST(roots_hard_links)
{
	fixture_write("file", "", 0644);
	ck_assert_int_eq(link(fixture_path("file"), fixture_path("other")), 0);
	ck_assert_int_eq(refused("file", GRANT_READ, GRANT_REGULAR), OPENER_OK);
	ck_assert_int_eq(chmod(fixture_directory, 01777), 0);
	ck_assert_int_eq(refused("file", GRANT_READ, GRANT_REGULAR), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(chmod(fixture_directory, 0775), 0);
	ck_assert_int_eq(refused("file", GRANT_READ, GRANT_REGULAR), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
	ck_assert_int_eq(chown(fixture_directory, STRANGER, 0), 0);
	ck_assert_int_eq(refused("file", GRANT_READ, GRANT_REGULAR), OPENER_NOT_PERMITTED);
}
END_TEST

START_TEST(unsafe_for_root)
{
	struct grant grant = grant_for("closed/file", GRANT_READ);

	fixture_write("closed/file", "content", root_modes[_i].file);
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
	ck_assert_int_eq(chown(fixture_path("closed/file"), root_modes[_i].owner, 0), 0);
	ck_assert_int_eq(chown(fixture_path("closed"), root_modes[_i].owner, 0), 0);
	ck_assert_int_eq(chmod(fixture_path("closed"), root_modes[_i].directory), 0);
	ck_assert_msg(open_for(&grant, 0) == root_modes[_i].result, "%d: %s", opened.result, opened.reason);
}
END_TEST

/* A directory's list may keep out whom its mode lets in. */
START_TEST(unsafe_lists_for_root)
{
	struct grant grant = grant_for("listed/file", GRANT_READ);

	fixture_write("listed/file", "content", 0666);
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
	ck_assert_int_eq(open_for(&grant, 0), OPENER_OK);
	if (set_acl(fixture_path("listed"), 5) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		return;
	}
	ck_assert_int_eq(open_for(&grant, 0), OPENER_UNSAFE_MODE);
}
END_TEST

/* A client in group 65534 is in no group that can be named, but the kernel lets it write all the same. */
START_TEST(unsafe_for_nobodys_group)
{
	struct grant grant = grant_for("file", GRANT_READ);

	fixture_write("file", "content", 0640);
	ck_assert_int_eq(chown(fixture_path("file"), 0, 65534), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(chmod(fixture_path("file"), 0660), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_UNSAFE_MODE);
}
END_TEST

START_TEST(created_in_a_set_group_directory)
{
	struct grant grant = grant_for("new", GRANT_WRITE);
	struct stat status;

	ck_assert_int_eq(chown(fixture_directory, 0, STRANGER), 0);
	ck_assert_int_eq(chmod(fixture_directory, 02775), 0);
	grant.create = true;
	ck_assert_int_eq(open_grant(&grant, &(struct identity){ .uid = STRANGER }, &opened), OPENER_OK);
	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert_uint_eq(status.st_uid, 0);
	ck_assert_uint_eq(status.st_gid, STRANGER);
}
END_TEST

/* What UnsafeMode is about, done for real by somebody else. */
START_TEST(a_descriptor_opens_doors)
{
	struct grant grant = grant_for("closed/file", GRANT_READ_WRITE);
	char proc[64];

	fixture_write("closed/file", "content", 0666);
	ck_assert_int_eq(chmod(fixture_path("closed"), 0700), 0);
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", opened.fd);

	ck_assert_int_eq(setresuid(STRANGER, STRANGER, STRANGER), 0);
	ck_assert_int_lt(open(fixture_path("closed/file"), O_RDWR), 0);
	ck_assert_int_ge(open(proc, O_RDWR | O_TRUNC), 0);
}
END_TEST

/* 0 if a process of that user and no capabilities can open the fd anew for reading, and not for writing; its
 * errno otherwise. */
static int reopens(uid_t uid)
{
	char proc[64];
	int status;
	pid_t pid;

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", opened.fd);
	pid = fork();
	if (pid == 0) {
		if (setresuid(uid, uid, uid) < 0)
			_exit(EINVAL);
		if (open(proc, O_RDONLY | O_CLOEXEC) < 0)
			_exit(errno);
		_exit(open(proc, O_RDWR | O_CLOEXEC) >= 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

START_TEST(a_copy_is_opened_by_its_reader_alone)
{
	struct grant grant = grant_for("file", GRANT_READ);

	grant.copy = true;
	fixture_write("file", "content", 0600);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	ck_assert_int_eq(reopens(STRANGER), 0);
	ck_assert_int_eq(reopens(STRANGER + 1), EACCES);
	ck_assert_int_eq(open_for(&grant, 0), OPENER_OK);
	ck_assert_int_eq(reopens(STRANGER), EACCES);
}
END_TEST

static void add_root_tests(Suite *suite)
{
	TCase *root = tcase_create("root");

	tcase_add_checked_fixture(root, setup, teardown);
	tcase_add_test(root, roots_hard_links);
	tcase_add_loop_test(root, unsafe_for_root, 0, ELEMENTSOF(root_modes));
	tcase_add_test(root, unsafe_lists_for_root);
	tcase_add_test(root, unsafe_for_nobodys_group);
	tcase_add_test(root, created_in_a_set_group_directory);
	tcase_add_test(root, a_copy_is_opened_by_its_reader_alone);
	tcase_add_test(root, a_descriptor_opens_doors);
	suite_add_tcase(suite, root);
}

static void add_tests(Suite *suite)
{
	TCase *tests = tcase_create("open");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, a_regular_file, 0, ELEMENTSOF(accesses));
	tcase_add_test(tests, appending_appends);
	tcase_add_test(tests, wrong_types);
	tcase_add_test(tests, kernel_controls);
	tcase_add_test(tests, missing);
	tcase_add_test(tests, links);
	tcase_add_test(tests, hard_links_in_shared_directories);
	tcase_add_test(tests, devices);
	tcase_add_loop_test(tests, sockets, 0, ELEMENTSOF(socket_types));
	tcase_add_test(tests, a_full_socket_is_busy);
	tcase_add_loop_test(tests, unsafe_modes, 0, ELEMENTSOF(modes));
	tcase_add_test(tests, unsafe_lists);
	tcase_add_test(tests, copies);
	tcase_add_test(tests, copies_are_for_one_reader);
	tcase_add_test(tests, copies_are_bounded);
	tcase_add_test(tests, creation);
	tcase_add_test(tests, creation_follows_nothing);
	tcase_add_test(tests, creation_inherits_nothing);
	suite_add_tcase(suite, tests);
}

/* test_open runs the tests for everybody; test_open_root, the same program, those of root in a directory that
 * nobody else can write, nor any above it. */
int main(void)
{
	Suite *suite = suite_create("open");

	fixture_need_openat2();
#ifdef TEST_AS_ROOT
	if (getuid() != 0 || setenv("FIXTURE_BASE", "/run", 1) < 0) {
		(void)puts("1..0 # SKIP only root has directories that are root's alone");
		return EXIT_SUCCESS;
	}
	(void)add_tests;
	add_root_tests(suite);
#else
	(void)add_root_tests;
	add_tests(suite);
#endif
	return fixture_run(suite);
}
