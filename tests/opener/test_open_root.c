/* SPDX-License-Identifier: MIT
 *
 * Opening and examining as root, in a directory that nobody else can write, nor any above it.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "open_fixture.h"

/* Root owns nearly everything: a path that it can search by modes alone counts for it as for nobody else. */
static const struct {
	mode_t file, directory;
	uid_t owner;
	enum opener_result result;
} root_modes[] = {
	{ 0600, 0700, 0, OPENER_OK },
	{ 0600, 0077, 0, OPENER_UNSAFE_MODE },
	{ 0600, 0055, 0, OPENER_UNSAFE_MODE },
	{ 0666, 0700, STRANGER, OPENER_UNSAFE_MODE },
	{ 0666, 0711, STRANGER, OPENER_OK },
};

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
		unit_skip("this file system has no access control lists");
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
	ck_assert_int_eq(open_grant(&grant, &(struct identity){ .uid = STRANGER }, &places, &opened), OPENER_OK);
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

/* The file's owner may hold a lease on it, and would be given 45 seconds to let go. */
START_TEST(a_lease_keeps_nobody_waiting)
{
	struct grant grant = grant_for("file", GRANT_READ_WRITE);
	struct identity client = fixture_client(STRANGER + 1, STRANGER + 1);
	_cleanup_close_ int held = -EBADF;

	fixture_write("file", "content", 0600);
	ck_assert_int_eq(chown(fixture_path("file"), STRANGER, 0), 0);
	held = open(fixture_path("file"), O_RDWR | O_CLOEXEC);
	ck_assert_ptr_ne(signal(SIGIO, SIG_IGN), SIG_ERR);
	if (fcntl(held, F_SETLEASE, F_WRLCK) < 0)
		unit_skip("this file system has no leases");
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_BUSY);
	ck_assert_int_eq(fcntl(held, F_SETLEASE, F_UNLCK), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER + 1), OPENER_OK);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(roots_hard_links),
		UNIT_LOOP(unsafe_for_root, ELEMENTSOF(root_modes)),
		UNIT_TEST(unsafe_lists_for_root),
		UNIT_TEST(unsafe_for_nobodys_group),
		UNIT_TEST(created_in_a_set_group_directory),
		UNIT_TEST(a_copy_is_opened_by_its_reader_alone),
		UNIT_TEST(a_lease_keeps_nobody_waiting),
		/* Nobody is root after this one, where tests have no process of their own. */
		UNIT_TEST(a_descriptor_opens_doors),
		{ 0 },
	};

	fixture_need_openat2();
	if (getuid() != 0 || setenv("FIXTURE_BASE", "/run", 1) < 0)
		unit_skip_all("only root has directories that are root's alone");
	return unit_run("open as root", tests, &(struct unit_around){ open_setup, open_teardown, 0 });
}
