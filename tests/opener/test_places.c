/* SPDX-License-Identifier: MIT
 *
 * The directories of one request: which are guarded, and that what is kept of one is not believed for longer than it
 * is so.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kernel/pin.h"
#include "open_fixture.h"
#include "opener/opening/examine.h"

static struct place *place;

/* A grant with a path that stays, as those of a policy do. */
static struct grant grant_of(const char *name)
{
	static char paths[64][128];
	static size_t next;
	struct grant grant = grant_for(name, GRANT_READ);

	ck_assert_uint_lt(strlen(grant.path), sizeof(paths[0]));
	for (size_t i = 0; i < next; i++)
		if (strcmp(paths[i], grant.path) == 0) {
			grant.path = paths[i];
			return grant;
		}
	ck_assert_uint_lt(next, ELEMENTSOF(paths));
	grant.path = strcpy(paths[next++], grant.path);
	return grant;
}

/* Is the file of that name what pin_open() would give? Returns if its directory is guarded. */
static bool is_guarded(const char *name)
{
	struct grant grant = grant_of(name);
	_cleanup_close_ int pin = places_pin(&places, &grant, &place), plain = pin_open(grant.path, NULL);
	struct stat pinned, wanted;

	ck_assert_int_ge(plain, 0);
	ck_assert_int_ge(pin, 0);
	ck_assert_int_eq(fstat(pin, &pinned), 0);
	ck_assert_int_eq(fstat(plain, &wanted), 0);
	ck_assert_uint_eq(pinned.st_ino, wanted.st_ino);
	ck_assert_uint_eq(pinned.st_dev, wanted.st_dev);
	return place;
}


START_TEST(guarded_is_what_root_alone_can_change)
{
	static const struct {
		uid_t uid;
		mode_t mode;
		bool guarded;
	} rows[] = {
		{ 0, 0755, true }, { 0, 0700, true }, { 0, 0775, false }, { 0, 0757, false }, { 0, 01777, false },
		{ STRANGER, 0755, false }, { STRANGER, 0500, false },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		places_clear(&places);
		ck_assert_int_eq(chown(fixture_path("a"), rows[i].uid, 0), 0);
		ck_assert_int_eq(chmod(fixture_path("a"), rows[i].mode), 0);
		ck_assert_msg(is_guarded("a/file") == rows[i].guarded, "%zu", i);
	}
}
END_TEST

/* Whoever is in a list can do what its mask, the group's bits, lets them. */
START_TEST(a_list_of_writers_shows)
{
	places_clear(&places);
	if (set_acl(fixture_path("a"), 7) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		unit_skip("this file system has no access control lists");
	}
	ck_assert(!is_guarded("a/file"));
	places_clear(&places);
	ck_assert_int_eq(set_acl(fixture_path("a"), 5), 0);
	ck_assert(is_guarded("a/file"));
}
END_TEST

START_TEST(a_server_may_have_other_rules)
{
	places_clear(&places);
	ck_assert(!is_guarded("/proc/version"));
	ck_assert(!is_guarded("/sys/kernel"));
}
END_TEST

START_TEST(links_are_never_followed)
{
	struct grant grant = grant_of("link/file"), last = grant_of("a/link");

	ck_assert_int_eq(symlink("a", fixture_path("link")), 0);
	ck_assert_int_eq(symlink("file", fixture_path("a/link")), 0);
	ck_assert_int_eq(places_pin(&places, &grant, &place), -ELOOP);
	ck_assert_int_eq(places_pin(&places, &last, &place), -ELOOP);
	ck_assert_ptr_null(place);
}
END_TEST

/* What is missing in a directory that was put aside is looked for in the one that is there. */
START_TEST(a_directory_that_was_exchanged)
{
	struct grant grant = grant_of("a/other");

	ck_assert_int_eq(places_pin(&places, &grant, &place), -ENOENT);
	ck_assert_int_eq(rename(fixture_path("a"), fixture_path("aside")), 0);
	fixture_write("a/other", "new", 0600);
	ck_assert(is_guarded("a/other"));
	ck_assert(is_guarded("a/other"));
}
END_TEST

START_TEST(more_directories_than_are_kept)
{
	size_t before = unit_count_fds();
	char name[32];

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 3 * PLACES_MAX; i++) {
			(void)snprintf(name, sizeof(name), "d%d/file", i);
			fixture_write(name, name, 0600);
			ck_assert(is_guarded(name));
		}
	ck_assert_uint_le(unit_count_fds(), before + PLACES_MAX);
	places_clear(&places);
	ck_assert_uint_lt(unit_count_fds(), before);
}
END_TEST

/* The links of what is mounted on a name are in another directory, whose owner may take them back. */
START_TEST(a_name_that_is_mounted_on)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		unit_skip("mounts can't be made here");
	/* What was opened before is in the mounts of before. */
	places_clear(&places);
	ck_assert(is_guarded("a/file"));
	fixture_write("b/file", "b", 0600);
	ck_assert_int_eq(mount(fixture_path("b/file"), fixture_path("a/file"), "none", MS_BIND, NULL), 0);
	ck_assert(!is_guarded("a/file"));
	ck_assert_int_eq(umount(fixture_path("a/file")), 0);
	ck_assert(is_guarded("a/file"));
}
END_TEST

/* A file that lost its name after it was found is none, and so is looked for again; the new one is given. */
START_TEST(a_file_without_a_name)
{
	struct grant grant = grant_of("a/file");
	_cleanup_close_ int pin = places_pin(&places, &grant, &place);
	struct identity client = fixture_client(STRANGER, STRANGER);

	ck_assert_ptr_nonnull(place);
	ck_assert_int_eq(examine(&grant, &client, pin, place, &opened), OPENER_OK);
	ck_assert_int_eq(unlink(fixture_path("a/file")), 0);
	ck_assert_int_eq(examine(&grant, &client, pin, place, &opened), OPENER_FILE_MISSING);
	fixture_write("a/file", "new", 0600);
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_OK);
}
END_TEST

/* Root's own links are believed in root's directories, and those of others are not, kept directory or not. */
START_TEST(links_are_counted_there_too)
{
	struct grant grant = grant_of("a/file");
	struct identity client = fixture_client(STRANGER, STRANGER);

	ck_assert_int_eq(link(fixture_path("a/file"), fixture_path("a/second")), 0);
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_NOT_PERMITTED);
}
END_TEST

static void setup(void)
{
	open_setup();
	fixture_write("a/file", "a", 0600);
	ck_assert(is_guarded("a/file"));
}

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(guarded_is_what_root_alone_can_change),
		UNIT_TEST(a_list_of_writers_shows),
		UNIT_TEST(a_server_may_have_other_rules),
		UNIT_TEST(links_are_never_followed),
		UNIT_TEST(a_directory_that_was_exchanged),
		UNIT_TEST(more_directories_than_are_kept),
		UNIT_TEST(a_name_that_is_mounted_on),
		UNIT_TEST(a_file_without_a_name),
		UNIT_TEST(links_are_counted_there_too),
		{ 0 },
	};

	fixture_need_openat2();
	if (getuid() != 0)
		unit_skip_all("only root has directories that are root's alone");
	return unit_run("places", tests, &(struct unit_around){ setup, open_teardown, 0 });
}
