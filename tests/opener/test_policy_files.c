/* SPDX-License-Identifier: MIT
 *
 * The policy's files: how they lie over one another, and which are believed.
 */
#include <sys/stat.h>

#include "policy_fixture.h"

static const char *path_of(const char *name)
{
	const struct grant *grant = policy_find(policy, name);

	return grant && grant->path ? grant->path : "";
}

START_TEST(layers)
{
	fixture_write("usr/files.conf", "[main]\nPath=/usr\n" ME "[usr-only]\nPath=/u\n" ME, 0644);
	fixture_write("run/files.conf", "[main]\nPath=/run\n" ME, 0644);
	fixture_write("usr/files.conf.d/50-a.conf", "[a]\nPath=/usr-a\n" ME, 0644);
	fixture_write("run/files.conf.d/40-b.conf", "[a]\nPath=/run-b\nDescription=b\n[b]\nPath=/b\n" ME, 0644);
	fixture_write("etc/files.conf.d/60-c.conf", "[a]\nAccess=write\n", 0644);
	fixture_write("usr/files.conf.d/70-d.conf", "[d]\nPath=/usr-d\n" ME, 0644);
	fixture_write("etc/files.conf.d/70-d.conf", "[d]\nPath=/etc-d\nAllowUser=1001\n", 0644);
	load_from(fixture_path("usr"), fixture_path("run"), fixture_path("etc"));
	ck_no_errors();

	/* one main file, of the highest directory that has one */
	ck_assert_str_eq(path_of("main"), "/run");
	ck_assert_ptr_null(policy_find(policy, "usr-only"));
	/* drop-ins by name, whatever their directory, key by key */
	ck_assert_str_eq(path_of("a"), "/usr-a");
	ck_assert_str_eq(policy_find(policy, "a")->description, "b");
	ck_assert_int_eq(policy_find(policy, "a")->access, GRANT_WRITE);
	ck_assert_uint_eq(policy_find(policy, "a")->n_users, 1);
	/* of one name the highest */
	ck_assert_str_eq(path_of("d"), "/etc-d");
	ck_assert_uint_eq(policy_find(policy, "d")->users[0], 1001);
}
END_TEST

START_TEST(masks)
{
	fixture_write("usr/files.conf", "[main]\nPath=/usr\n" ME, 0644);
	fixture_write("usr/files.conf.d/a.conf", "[a]\nPath=/a\n" ME, 0644);
	fixture_write("usr/files.conf.d/b.conf", "[b]\nPath=/b\n" ME, 0644);
	fixture_write("usr/files.conf.d/c.conf", "[c]\nPath=/c\n" ME, 0644);
	fixture_write("etc/files.conf", "", 0644);
	fixture_write("etc/files.conf.d/a.conf", "", 0644);
	ck_assert_int_eq(symlink("/dev/null", fixture_path("etc/files.conf.d/b.conf")), 0);
	load_from(fixture_path("usr"), NULL, fixture_path("etc"));
	ck_no_errors();
	ck_assert_uint_eq(policy->n_grants, 1);
	ck_assert(granted("c"));
}
END_TEST

START_TEST(other_names_are_no_drop_ins)
{
	fixture_write("files.conf.d/a.conf.dpkg-old", "nonsense", 0644);
	fixture_write("files.conf.d/.hidden.conf", "nonsense", 0644);
	fixture_write("files.conf.d/README", "nonsense", 0644);
	fixture_write("files.conf.d/.conf", "nonsense", 0644);
	load();
	ck_no_errors();
	load_from(fixture_path("none"), NULL, NULL);
	ck_no_errors();
	ck_assert_uint_eq(policy->n_grants, 0);
}
END_TEST

START_TEST(an_error_names_the_file_that_made_it)
{
	fixture_write("files.conf.d/1.conf", "[a]\nPath=/a\n" ME, 0644);
	fixture_write("files.conf.d/2.conf", "\n\n[a]\nAccess=all\n", 0644);
	fixture_write("files.conf.d/3.conf", "[a]\nType=device\n", 0644);
	load();
	ck_assert_ptr_nonnull(strstr(told, fixture_path("files.conf.d/2.conf:4: [a] Access=: ")));
	ck_assert(broken("a"));
}
END_TEST

/* A narrowing file that can't be read must not widen what it narrows. */
START_TEST(a_broken_file_breaks_its_sections)
{
	fixture_write("files.conf", "[a]\nPath=/a\n" ME "[b]\nPath=/b\n" ME "[c]\nPath=/c\n" ME, 0644);
	fixture_write("files.conf.d/1.conf", "[a]\nAllowUnit=a.service\n[b]\nNonsense=1\n", 0644);
	load();
	ck_assert(broken("a"));
	ck_assert(broken("b"));
	ck_assert(granted("c"));
}
END_TEST

/* The file that others can write, or some such, is not read, and what is left is not believed either. */
static void ck_not_believed(const char *why)
{
	load();
	ck_assert_msg(strstr(told, why), "%s", told);
	ck_assert_uint_eq(policy->n_granted, 0);
}

START_TEST(belief)
{
	fixture_write("files.conf", "[good]\nPath=/good\n" ME, 0644);
	fixture_write("files.conf.d/x.conf", "[x]\nPath=/x\n" ME, 0644);
	load();
	ck_no_errors();

	ck_assert_int_eq(chmod(fixture_path("files.conf.d/x.conf"), 0664), 0);
	ck_not_believed("x.conf: not read, because others than root own or can write it");
	ck_assert_ptr_null(policy_find(policy, "x"));
	ck_assert(broken("good"));
	ck_assert_int_eq(chmod(fixture_path("files.conf.d/x.conf"), 0646), 0);
	ck_not_believed("can write it");
	ck_assert_int_eq(chmod(fixture_path("files.conf.d/x.conf"), 0444), 0);
	load();
	ck_no_errors();

	ck_assert_int_eq(chmod(fixture_path("files.conf.d"), 0777), 0);
	ck_not_believed("files.conf.d: not read, because others than root own or can write ");
	ck_assert_int_eq(chmod(fixture_path("files.conf.d"), 01777), 0);
	ck_not_believed("files.conf.d: not read, because others than root own or can write ");
	ck_assert_int_eq(chmod(fixture_path("files.conf.d"), 0755), 0);
	ck_assert_int_eq(chmod(fixture_directory, 0775), 0);
	ck_not_believed("not read, because others than root own or can write ");
	ck_assert_int_eq(chmod(fixture_directory, 0700), 0);
	load();
	ck_no_errors();

	if (getuid() == 0) {
		ck_assert_int_eq(chown(fixture_path("files.conf"), 1000, 1000), 0);
		ck_not_believed("files.conf: not read, because others than root own or can write it");
		ck_assert_int_eq(chown(fixture_path("files.conf"), 0, 0), 0);
		ck_assert_int_eq(chown(fixture_path("files.conf.d"), 1000, 1000), 0);
		ck_not_believed("files.conf.d: not read");
	}
}
END_TEST

START_TEST(links)
{
	fixture_write("files.conf.d/a.conf", "[good]\nPath=/good\n" ME, 0644);
	fixture_write("elsewhere/x.conf", "[x]\nPath=/x\n" ME, 0644);
	ck_assert_int_eq(symlink("../elsewhere/x.conf", fixture_path("files.conf.d/x.conf")), 0);
	load();
	ck_no_errors();
	ck_assert(granted("x"));

	/* What it leads to must be as safe. */
	ck_assert_int_eq(chmod(fixture_path("elsewhere"), 0777), 0);
	ck_not_believed("x.conf: not read, because others than root own or can write ");
	ck_assert_int_eq(chmod(fixture_path("elsewhere"), 0755), 0);
	ck_assert_int_eq(unlink(fixture_path("elsewhere/x.conf")), 0);
	ck_not_believed("x.conf: can't be read: No such file");
}
END_TEST

START_TEST(not_files)
{
	ck_assert_int_eq(mkdir(fixture_path("files.conf.d"), 0755), 0);
	ck_assert_int_eq(mkfifo(fixture_path("files.conf.d/x.conf"), 0600), 0);
	ck_not_believed("x.conf: not a regular file");
	ck_assert_int_eq(unlink(fixture_path("files.conf.d/x.conf")), 0);
	ck_assert_int_eq(mkdir(fixture_path("files.conf.d/x.conf"), 0755), 0);
	ck_not_believed("x.conf: not a regular file");
	ck_assert_int_eq(rmdir(fixture_path("files.conf.d/x.conf")), 0);
	ck_assert_int_eq(rmdir(fixture_path("files.conf.d")), 0);
	fixture_write("files.conf.d", "", 0644);
	ck_not_believed("can't be read: Not a directory");
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(layers),
		UNIT_TEST(masks),
		UNIT_TEST(other_names_are_no_drop_ins),
		UNIT_TEST(an_error_names_the_file_that_made_it),
		UNIT_TEST(a_broken_file_breaks_its_sections),
		UNIT_TEST(belief),
		UNIT_TEST(links),
		UNIT_TEST(not_files),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("policy files", tests, &(struct unit_around){ fixture_setup, policy_teardown, 0 });
}
