/* SPDX-License-Identifier: MIT
 *
 * Where others than root can put a file: which ones are handed out from there, and what others can really do.
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "open_fixture.h"

#define MEMBERS 12350
#define ALICE 12346
#define BOB 12347
#define NONE ((uid_t)-1)

/* A directory, and a list in it that gives somebody so much. */
struct made {
	uid_t uid;
	mode_t mode;
	uint16_t list;
};

/* up/low/in/file: who may be its owner, for STRANGER to get it? */
static const struct row {
	struct made up, low, in;
	const char *fine; /* of root, alice, bob, the client: r, a, b, c */
} rows[] = {
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { 0, 0755, 0 }, "rabc" },
	{ { 0, 0700, 0 }, { 0, 0700, 0 }, { 0, 02755, 0 }, "rabc" },
	/* The file's own directory. */
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { 0, 02775, 0 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { 0, 0757, 0 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { 0, 01777, 0 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { 0, 03775, 0 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { 0, 0755, 7 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { 0, 0755, 5 }, "rabc" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { ALICE, 0755, 0 }, "ac" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { ALICE, 0500, 0 }, "ac" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { ALICE, 01755, 0 }, "ac" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { ALICE, 0775, 0 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { ALICE, 01777, 0 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { ALICE, 0755, 7 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 0 }, { STRANGER, 0755, 0 }, "c" },
	/* One above it: all that is below can be exchanged for what lies beside it. */
	{ { 0, 0755, 0 }, { 0, 0775, 0 }, { 0, 0755, 0 }, "c" },
	{ { 0, 0757, 0 }, { 0, 0755, 0 }, { 0, 0755, 0 }, "c" },
	{ { 0, 0755, 0 }, { 0, 0755, 7 }, { 0, 0755, 0 }, "c" },
	{ { ALICE, 0755, 0 }, { 0, 0755, 0 }, { 0, 0755, 0 }, "ac" },
	{ { ALICE, 0755, 0 }, { ALICE, 0700, 0 }, { 0, 0755, 0 }, "ac" },
	{ { ALICE, 0755, 0 }, { BOB, 0755, 0 }, { 0, 0755, 0 }, "c" },
	{ { ALICE, 0755, 0 }, { 0, 0755, 0 }, { BOB, 0755, 0 }, "c" },
	/* Directories stay where they are in a sticky one, if nobody else can write in them. */
	{ { 0, 01777, 0 }, { 0, 0755, 0 }, { 0, 0755, 0 }, "rabc" },
	{ { 0, 01777, 0 }, { 0, 01777, 0 }, { 0, 0755, 0 }, "c" },
	{ { 0, 01777, 0 }, { 0, 0775, 0 }, { 0, 0755, 0 }, "c" },
	{ { 0, 01777, 0 }, { ALICE, 0700, 0 }, { ALICE, 0700, 0 }, "ac" },
	{ { 0, 01777, 0 }, { ALICE, 0700, 0 }, { BOB, 0700, 0 }, "c" },
	{ { 0, 01777, 0 }, { 0, 0755, 0 }, { 0, 0775, 0 }, "c" },
	{ { 0, 01777, 0 }, { 0, 0755, 7 }, { 0, 0755, 0 }, "c" },
	{ { ALICE, 01777, 0 }, { 0, 0755, 0 }, { 0, 0755, 0 }, "ac" },
	{ { ALICE, 01777, 0 }, { BOB, 0755, 0 }, { 0, 0755, 0 }, "c" },
};

/* Returns false where it would need an access control list, and the file system has none. */
static bool make(const char *name, const struct made *made)
{
	ck_assert_int_eq(chown(fixture_path(name), made->uid, MEMBERS), 0);
	ck_assert_int_eq(chmod(fixture_path(name), made->mode), 0);
	if (made->list > 0 && set_acl(fixture_path(name), made->list) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		return false;
	}
	return true;
}

static enum opener_result result_of(const char *name, uid_t owner, uid_t named)
{
	/* For writing, too: then the file's own mode and owner make no difference. */
	struct grant grant = grant_for(name, GRANT_READ_WRITE);

	if (owner != NONE)
		ck_assert_int_eq(chown(fixture_path(name), owner, 0), 0);
	grant.owners = &named;
	grant.n_owners = named != NONE;
	return open_for(&grant, STRANGER);
}

START_TEST(whose_file_it_may_be)
{
	static const struct {
		char letter;
		uid_t uid;
	} owners[] = { { 'r', 0 }, { 'a', ALICE }, { 'b', BOB }, { 'c', STRANGER } };
	const struct row *row = &rows[_i];

	fixture_write("up/low/in/file", "content", 0600);
	if (!make("up/low/in", &row->in) || !make("up/low", &row->low) || !make("up", &row->up))
		unit_skip("this file system has no access control lists");
	for (size_t i = 0; i < ELEMENTSOF(owners); i++) {
		bool is_fine = strchr(row->fine, owners[i].letter);
		uid_t uid = owners[i].uid;

		ck_assert_msg(result_of("up/low/in/file", uid, NONE) == (is_fine ? OPENER_OK : OPENER_NOT_PERMITTED),
			      "row %d, owner %c: %s", _i, owners[i].letter, opened.reason);
		ck_assert_int_eq(is_fine, !strstr(opened.reason, "somebody may have moved it there"));
		ck_assert_int_eq(result_of("up/low/in/file", uid, uid), OPENER_OK);
		ck_assert_int_eq(result_of("up/low/in/file", uid, uid + 1), is_fine ? OPENER_OK : OPENER_NOT_PERMITTED);
	}
	/* A second name may be where nobody is to have the file, whoever owns it. */
	ck_assert_int_eq(link(fixture_path("up/low/in/file"), fixture_path("second")), 0);
	ck_assert_int_eq(result_of("up/low/in/file", STRANGER, STRANGER),
			 strchr(row->fine, 'b') ? OPENER_OK : OPENER_NOT_PERMITTED);
}
END_TEST

/* Errno of what somebody does in a process of their own, 0 if they can. */
static int rename_as(uid_t uid, const char *from, const char *to)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(1, &(gid_t){ MEMBERS }) < 0 || setresgid(uid, uid, uid) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			_exit(255);
		_exit(rename(fixture_path(from), fixture_path(to)) < 0 ? errno : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void make_shared(const char *name, mode_t mode)
{
	ck_assert(make(name, &(struct made){ .mode = mode }));
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
}

/* A member of the group that may write in the directory puts what is somebody else's in the file's place. */
START_TEST(a_file_that_was_moved_there)
{
	fixture_write("shared/granted", "granted", 0600);
	fixture_write("shared/private", "bob's", 0600);
	ck_assert_int_eq(chown(fixture_path("shared/private"), BOB, BOB), 0);
	make_shared("shared", 02775);
	ck_assert_int_eq(rename_as(ALICE, "shared/private", "shared/granted"), 0);
	ck_assert_int_eq(result_of("shared/granted", NONE, NONE), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(result_of("shared/granted", NONE, 0), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(result_of("shared/granted", NONE, BOB), OPENER_OK);
}
END_TEST

/* Root's directories are no more than names where others can write. What is remembered of one is of that one. */
START_TEST(a_directory_that_was_moved_there)
{
	fixture_write("shared/granted/file", "granted", 0600);
	fixture_write("shared/private/file", "root's", 0600);
	ck_assert_int_eq(result_of("shared/granted/file", NONE, NONE), OPENER_OK);
	make_shared("shared", 02775);
	ck_assert_msg(result_of("shared/granted/file", NONE, NONE) == OPENER_OK, "it is the one that root has put there");
	ck_assert_int_eq(rename_as(ALICE, "shared/granted", "shared/aside"), 0);
	ck_assert_int_eq(rename_as(ALICE, "shared/private", "shared/granted"), 0);
	ck_assert_int_eq(result_of("shared/granted/file", NONE, NONE), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(rename_as(ALICE, "shared/granted", "shared/private"), 0);
	ck_assert_int_eq(rename_as(ALICE, "shared/aside", "shared/granted"), 0);
	open_forget();
	ck_assert_int_eq(result_of("shared/granted/file", NONE, NONE), OPENER_NOT_PERMITTED);
}
END_TEST

START_TEST(a_directory_that_was_moved_back)
{
	fixture_write("replaced/granted/file", "old", 0600);
	ck_assert_int_eq(result_of("replaced/granted/file", NONE, NONE), OPENER_OK);
	/* What root has put there since is what root means. */
	ck_assert_int_eq(rename(fixture_path("replaced/granted"), fixture_path("replaced/before")), 0);
	fixture_write("replaced/granted/file", "new", 0600);
	ck_assert_int_eq(result_of("replaced/granted/file", NONE, NONE), OPENER_OK);
	make_shared("replaced", 02775);
	ck_assert_int_eq(rename_as(ALICE, "replaced/granted", "replaced/aside"), 0);
	ck_assert_int_eq(rename_as(ALICE, "replaced/before", "replaced/granted"), 0);
	ck_assert_int_eq(result_of("replaced/granted/file", NONE, NONE), OPENER_NOT_PERMITTED);
}
END_TEST

/* What the rules for sticky directories are built on. */
START_TEST(what_can_be_moved_into_a_sticky_directory)
{
	fixture_write("shared/file", "root's", 0600);
	fixture_write("shared/closed/file", "root's", 0600);
	fixture_write("shared/open/file", "root's", 0600);
	fixture_write("sticky/there", "root's", 0600);
	make_shared("shared/open", 0775);
	make_shared("shared", 02775);
	make_shared("sticky", 01777);
	ck_assert_int_eq(rename_as(ALICE, "sticky/there", "sticky/other"), EPERM);
	ck_assert_int_eq(rename_as(ALICE, "shared/file", "sticky/there"), EPERM);
	ck_assert_int_eq(rename_as(ALICE, "shared/closed", "sticky/closed"), EACCES);
	/* Neither is anybody's but root's, and both are where root has not put them. */
	ck_assert_int_eq(rename_as(ALICE, "shared/open", "sticky/open"), 0);
	ck_assert_int_eq(result_of("sticky/open/file", NONE, NONE), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(rename_as(ALICE, "shared/file", "sticky/file"), 0);
	ck_assert_int_eq(result_of("sticky/file", NONE, NONE), OPENER_NOT_PERMITTED);
}
END_TEST

static enum opener_result result_within(const char *name, const char *within)
{
	struct grant grant = grant_for(name, GRANT_READ_WRITE);

	grant.within = (char *)(uintptr_t)fixture_path(within);
	return open_for(&grant, STRANGER);
}

/* Each directory that a link leads through counts as if it were written in the path. */
START_TEST(links_on_the_way)
{
	fixture_write("top/real/file", "content", 0600);
	fixture_write("top/live/other", "", 0600);
	fixture_write("top/shared/other", "", 0600);
	fixture_write("top/shared/file", "content", 0600);
	ck_assert_int_eq(symlink("../real", fixture_path("top/live/directory")), 0);
	ck_assert_int_eq(symlink("directory/file", fixture_path("top/live/file")), 0);
	ck_assert_int_eq(symlink("../real/file", fixture_path("top/shared/link")), 0);
	ck_assert_int_eq(symlink("../shared/file", fixture_path("top/live/shared")), 0);
	ck_assert_int_eq(symlink("../shared/link", fixture_path("top/live/twice")), 0);
	make_shared("top/shared", 02775);

	ck_assert_int_eq(result_within("top/live/directory/file", "top"), OPENER_OK);
	ck_assert_int_eq(result_within("top/live/file", "top"), OPENER_OK);
	ck_assert_int_eq(result_within("top/shared/link", "top"), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(result_within("top/live/shared", "top"), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(result_within("top/live/twice", "top"), OPENER_NOT_PERMITTED);
	make_shared("top/real", 02775);
	ck_assert_int_eq(result_within("top/live/file", "top"), OPENER_NOT_PERMITTED);
}
END_TEST

/* What is mounted is the choice of who mounts, but its place is that of a directory. */
START_TEST(mounts_on_the_way)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		unit_skip("mounts can't be made here");
	fixture_write("bobs/file", "bob's", 0600);
	fixture_write("roots/file", "", 0600);
	fixture_write("shared/file", "", 0600);
	fixture_write("sticky/mounted/file", "", 0600);
	ck_assert_int_eq(chown(fixture_path("bobs/file"), BOB, BOB), 0);
	make_shared("shared", 02775);
	make_shared("sticky", 01777);
	ck_assert_int_eq(mount(fixture_path("bobs/file"), fixture_path("roots/file"), "none", MS_BIND, NULL), 0);
	ck_assert_int_eq(mount(fixture_path("bobs/file"), fixture_path("shared/file"), "none", MS_BIND, NULL), 0);
	ck_assert_int_eq(result_of("roots/file", NONE, NONE), OPENER_OK);
	ck_assert_int_eq(result_of("shared/file", NONE, NONE), OPENER_NOT_PERMITTED);

	ck_assert_int_eq(result_of("sticky/mounted/file", NONE, NONE), OPENER_OK);
	ck_assert_int_eq(mount("none", fixture_path("sticky/mounted"), "tmpfs", 0, "mode=0755"), 0);
	fixture_write("sticky/mounted/file", "", 0600);
	ck_assert_int_eq(result_of("sticky/mounted/file", NONE, NONE), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(umount(fixture_path("sticky/mounted")), 0);
	ck_assert_int_eq(umount(fixture_path("roots/file")), 0);
	ck_assert_int_eq(umount(fixture_path("shared/file")), 0);
}
END_TEST

/* Devices and sockets are as good as files to be moved. */
START_TEST(a_socket_that_was_moved_there)
{
	struct grant grant = grant_for("shared/granted", GRANT_READ_WRITE);

	grant.type = GRANT_SOCKET;
	fixture_write("shared/file", "", 0600);
	(void)fixture_listen("shared/bobs", SOCK_STREAM);
	ck_assert_int_eq(chown(fixture_path("shared/bobs"), BOB, BOB), 0);
	make_shared("shared", 02775);
	ck_assert_int_eq(rename_as(ALICE, "shared/bobs", "shared/granted"), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_NOT_PERMITTED);
	ck_assert_int_eq(open_for(&grant, BOB), OPENER_OK);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(whose_file_it_may_be, ELEMENTSOF(rows)),
		UNIT_TEST(a_file_that_was_moved_there),
		UNIT_TEST(a_directory_that_was_moved_there),
		UNIT_TEST(a_directory_that_was_moved_back),
		UNIT_TEST(what_can_be_moved_into_a_sticky_directory),
		UNIT_TEST(links_on_the_way),
		UNIT_TEST(mounts_on_the_way),
		UNIT_TEST(a_socket_that_was_moved_there),
		{ 0 },
	};

	fixture_need_openat2();
	if (getuid() != 0 || setenv("FIXTURE_BASE", "/run", 1) < 0)
		unit_skip_all("only root can be several users");
	return unit_run("way", tests, &(struct unit_around){ open_setup, open_teardown, 0 });
}
