/* SPDX-License-Identifier: MIT
 *
 * Examining: files whose mode, owner, lists or links would give a client more than its grant.
 */
#include <sys/stat.h>

#include "open_fixture.h"

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

/* Where the kernel does not tell them, it could be any group. */
START_TEST(unsafe_for_unknown_groups)
{
	struct identity client = fixture_client(STRANGER, STRANGER);
	struct grant grant = grant_for("file", GRANT_READ);

	client.has_groups = false;
	fixture_write("file", "content", 0600);
	if (getuid() != 0)
		client.uid = getuid() + 1;
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_OK);
	opened_clear(&opened);
	ck_assert_int_eq(chmod(fixture_path("file"), 0660), 0);
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_UNSAFE_MODE);
}
END_TEST

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
	ck_assert_msg(open_grant(&grant, &client, &places, &opened) == modes[_i].result, "%d: %s", opened.result,
		      opened.reason);
	opened_clear(&opened);

	/* A copy gives nothing away. */
	grant.copy = true;
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_OK);
	ck_assert_int_eq(chmod(fixture_path("closed"), 0700), 0);
}
END_TEST

START_TEST(unsafe_lists)
{
	struct grant grant = grant_for("closed/file", GRANT_READ);

	fixture_write("closed/file", "content", 0600);
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
	ck_assert_int_eq(chmod(fixture_path("closed"), 0700), 0);
	if (set_acl(fixture_path("closed/file"), 6) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		unit_skip("this file system has no access control lists");
	}
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_UNSAFE_MODE);
	ck_assert_int_eq(set_acl(fixture_path("closed/file"), 4), 0);
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(hard_links_in_shared_directories),
		UNIT_LOOP(unsafe_modes, ELEMENTSOF(modes)),
		UNIT_TEST(unsafe_for_unknown_groups),
		UNIT_TEST(unsafe_lists),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("examine", tests, &(struct unit_around){ open_setup, open_teardown, 0 });
}
