/* SPDX-License-Identifier: MIT
 *
 * The policy: what the files may say, and what is wrong with them, in which line.
 */
#include "policy_fixture.h"

START_TEST(everything)
{
	const struct grant *grant;

	fixture_write("files.conf",
		      "# a comment\n"
		      "\n"
		      "[everything]\n"
		      "Description = A log, für alle \n"
		      "Path=/var/log/some file\n"
		      "Within=/var\n"
		      "Access=append\n"
		      "Type=regular\n"
		      "Deliver=descriptor\n"
		      "AllowUser=root 1000  0\n"
		      "AllowGroup=root\t4\n"
		      "AllowUnit=a.service b@c.service\n"
		      "Create=yes\n"
		      "Mode=0640\n"
		      "AuditRequired=yes\n",
		      0644);
	load();
	ck_no_errors();
	ck_assert_uint_eq(policy->n_grants, 1);
	ck_assert_uint_eq(policy->n_granted, 1);
	grant = policy_find(policy, "everything");
	ck_assert_ptr_nonnull(grant);
	ck_assert_str_eq(grant->description, "A log, für alle");
	ck_assert_str_eq(grant->path, "/var/log/some file");
	ck_assert_str_eq(grant->within, "/var");
	ck_assert_int_eq(grant->access, GRANT_APPEND);
	ck_assert_int_eq(grant->type, GRANT_REGULAR);
	ck_assert(!grant->copy);
	ck_assert(grant->create);
	ck_assert_uint_eq(grant->mode, 0640);
	ck_assert(grant->audit_required);
	ck_assert_uint_eq(grant->n_users, 3);
	ck_assert_uint_eq(grant->users[0], 0);
	ck_assert_uint_eq(grant->users[1], 1000);
	ck_assert_uint_eq(grant->n_groups, 2);
	ck_assert_uint_eq(grant->groups[1], 4);
	ck_assert_uint_eq(grant->n_units, 2);
	ck_assert_str_eq(grant->units[1], "b@c.service");
}
END_TEST

START_TEST(defaults)
{
	const struct grant *grant;

	fixture_write("files.conf", "[a]\nPath=/a\n" ME "[s]\nPath=/s\nType=socket\n" ME, 0644);
	load();
	ck_no_errors();
	grant = policy_find(policy, "a");
	ck_assert_int_eq(grant->access, GRANT_READ);
	ck_assert_int_eq(grant->type, GRANT_REGULAR);
	ck_assert(!grant->copy && !grant->create && !grant->audit_required);
	ck_assert_uint_eq(grant->mode, 0600);
	ck_assert_ptr_null(grant->description);
	ck_assert_ptr_null(grant->within);
	ck_assert_int_eq(policy_find(policy, "s")->access, GRANT_READ_WRITE);
	ck_assert_ptr_null(policy_find(policy, "b"));
	ck_assert_ptr_null(policy_find(policy, ""));
}
END_TEST

/* As editors leave them behind, and people write them. */
START_TEST(blank_lines_and_comments_are_nothing)
{
	fixture_write("files.conf", "# one\n[a]\n# two\nPath=/a\n# three\n# four\nAllowUser=0\n#\n\n#\n[b]\n"
		      "Path=/b\n" ME "#", 0644);
	load();
	ck_no_errors();
	ck_assert_uint_eq(policy->n_granted, 2);
	ck_assert_str_eq(policy_find(policy, "a")->path, "/a");

	fixture_write("files.conf", " \n[a]\n\t\nPath=/a\n  \n\t \nAllowUser=0\n \n[b]\nPath=/b\n" ME "\t", 0644);
	load();
	ck_no_errors();
	ck_assert_uint_eq(policy->n_granted, 2);
	ck_assert_str_eq(policy_find(policy, "a")->path, "/a");
	ck_assert_str_eq(policy_find(policy, "b")->path, "/b");
}
END_TEST

/* What is wrong with a section named [x]: [good] stays. "LINE: " is where, of the file that holds only it. */
static const struct {
	const char *section, *error;
} wrong[] = {
	{ "[x]\nPath=/x\n", ":1: [x]: none of AllowUser=, AllowGroup= and AllowUnit= is given" },
	{ "[x]\n" ME, ":1: [x]: Path= is missing" },
	{ "[x]\nPath=x\n" ME, ":2: [x] Path=: \"x\" is not an absolute path" },
	{ "[x]\nPath=/a/../b\n" ME, ":2: [x] Path=: " },
	{ "[x]\nPath=/a/./b\n" ME, ":2: [x] Path=: " },
	{ "[x]\nPath=/a//b\n" ME, ":2: [x] Path=: " },
	{ "[x]\nPath=/a/\n" ME, ":2: [x] Path=: " },
	{ "[x]\nPath=/\n" ME, ":2: [x] Path=: " },
	{ "[x]\nPath=/a/..\n" ME, ":2: [x] Path=: " },
	{ "[x]\nPath=/..\n" ME, ":2: [x] Path=: " },
	{ "[x]\nPath=/a\nWithin=/b\n" ME, ":3: [x] Within=: Path=/a is not below it" },
	{ "[x]\nPath=/ab/c\nWithin=/a\n" ME, ":3: [x] Within=: " },
	{ "[x]\nPath=/a\nWithin=/a\n" ME, ":3: [x] Within=: " },
	{ "[x]\nPath=/a/b\nWithin=/a/\n" ME, ":3: [x] Within=: " },
	{ "[x]\nPath=/a/b\nWithin=a\n" ME, ":3: [x] Within=: " },
	{ "[x]\nPath=/a\nAccess=everything\n" ME, ":3: [x] Access=: \"everything\" is not read, write, read-write or append" },
	{ "[x]\nPath=/a\nAccess=Read\n" ME, ":3: [x] Access=: " },
	{ "[x]\nPath=/a\nType=fifo\n" ME, ":3: [x] Type=: " },
	{ "[x]\nPath=/a\nDeliver=link\n" ME, ":3: [x] Deliver=: " },
	{ "[x]\nPath=/a\nDeliver=copy\nAccess=write\n" ME, ":3: [x] Deliver=: copy goes with" },
	{ "[x]\nPath=/a\nDeliver=copy\nType=device\n" ME, ":3: [x] Deliver=: copy goes with" },
	{ "[x]\nPath=/a\nCreate=yes\n" ME, ":3: [x] Create=: " },
	{ "[x]\nPath=/a\nCreate=yes\nType=device\nAccess=write\n" ME, ":3: [x] Create=: " },
	{ "[x]\nPath=/a\nCreate=maybe\nAccess=write\n" ME, ":3: [x] Create=: \"maybe\" is not no, yes" },
	{ "[x]\nPath=/a\nCreate=yes\nAccess=write\nMode=888\n" ME, ":5: [x] Mode=: " },
	{ "[x]\nPath=/a\nCreate=yes\nAccess=write\nMode=4755\n" ME, ":5: [x] Mode=: " },
	{ "[x]\nPath=/a\nCreate=yes\nAccess=write\nMode=u+r\n" ME, ":5: [x] Mode=: " },
	{ "[x]\nPath=/a\nAuditRequired=maybe\n" ME, ":3: [x] AuditRequired=: \"maybe\" is not no, yes, " },
	{ "[x]\nPath=/a\nMode=0600\n" ME, ":3: [x] Mode=: goes with Create=yes only" },
	{ "[x]\nPath=/a\nType=socket\nAccess=read\n" ME, ":4: [x] Access=: a connected socket" },
	{ "[x]\nPath=/a\nAllowUser=no-such-user\n", ":3: [x] AllowUser=: there is no user \"no-such-user\"" },
	{ "[x]\nPath=/a\nAllowUser=1000 65534\n", ":3: [x] AllowUser=: \"65534\" is 65534, which is what anybody" },
	{ "[x]\nPath=/a\nAllowUser=nobody\n", ":3: [x] AllowUser=: \"nobody\"" },
	{ "[x]\nPath=/a\nAllowUser=4294967295\n", ":3: [x] AllowUser=: " },
	{ "[x]\nPath=/a\nAllowUser=99999999999\n", ":3: [x] AllowUser=: " },
	{ "[x]\nPath=/a\nAllowUser=010\n", ":3: [x] AllowUser=: \"010\"" },
	{ "[x]\nPath=/a\nAllowGroup=00\n", ":3: [x] AllowGroup=: \"00\"" },
	{ "[x]\nPath=/a\nAllowUser=-1\n", ":3: [x] AllowUser=: " },
	{ "[x]\nPath=/a\nAllowUser=1000,0\n", ":3: [x] AllowUser=: " },
	{ "[x]\nPath=/a\nAllowUser=*\n", ":3: [x] AllowUser=: " },
	{ "[x]\nPath=/a\nAllowGroup=no-such-group\n", ":3: [x] AllowGroup=: there is no group" },
	{ "[x]\nPath=/a\nAllowGroup=65534\n", ":3: [x] AllowGroup=: " },
	{ "[x]\nPath=/a\nAllowUnit=nginx\n", ":3: [x] AllowUnit=: \"nginx\" is not the full name" },
	{ "[x]\nPath=/a\nAllowUnit=.service\n", ":3: [x] AllowUnit=: " },
	{ "[x]\nPath=/a\nAllowUnit=a.timer\n", ":3: [x] AllowUnit=: " },
	{ "[x]\nPath=/a\nAllowUnit=*.service\n", ":3: [x] AllowUnit=: " },
	{ "[x]\nPath=/a\nAllowUnit=a@.service\n", ":3: [x] AllowUnit=: " },
	{ "[x]\nPath=/a\nAllowUnit=@b.service\n", ":3: [x] AllowUnit=: " },
	{ "[x]\nPath=/a\nAllowUnit=a/b.service\n", ":3: [x] AllowUnit=: " },
	{ "[x]\nPath=/a\nAllowUnit=good.service nginx\n", ":3: [x] AllowUnit=: \"nginx\"" },
	{ "[x]\nPath=/a\nDescription=\xff\n" ME, ":3: [x] Description=: not UTF-8" },
	{ "[x]\nPath=/a\nDescription=\xc0\xaf\n" ME, ":3: [x] Description=: not UTF-8" },
	{ "[x]\nPath=/a\nDescription=\xed\xa0\x80\n" ME, ":3: [x] Description=: not UTF-8" },
	{ "[x]\nPath=/a\nDescription=\xf4\x90\x80\x80\n" ME, ":3: [x] Description=: not UTF-8" },
	{ "[x]\nPath=/a\nDescription=cut \xc3\n" ME, ":3: [x] Description=: not UTF-8" },
	/* found by the scan */
	{ "[x]\nPath=/a\nAllow=1\n" ME, ":3: [x]: Allow=: there is no such key" },
	{ "[x]\npath=/a\n" ME, ":2: [x]: path=: there is no such key" },
	{ "[x]\n=/a\n" ME, ":2: [x]: =: there is no such key" },
	{ "[x]\nPath=/a\nPath=/b\n" ME, ":3: [x]: Path=: was already given in line 2" },
	{ "[x]\nPath=/a\n" ME ME, ":4: [x]: AllowUser=: was already given in line 3" },
	{ "[x]\nPath=/a\n" ME "[y]\n[x]\nType=device\n", ":5: [x]: the section was already begun in line 1" },
	{ "[x]\nPath=\n" ME, ":2: [x]: Path=: the value is empty" },
	{ "[x]\nPath=/a\nAllowUnit= \t\n" ME, ":3: [x]: AllowUnit=: the value is empty" },
	{ "[x]\nPath=/a#b\n" ME, ":2: [x]: Path=: a value can't contain \"#\"" },
	{ "[x]\nPath=/a\nAllowUser=1000 # me\n", ":3: [x]: AllowUser=: a value can't contain" },
	{ "[x]\nPath=\"/a\"\n" ME, ":2: [x]: Path=: values stand without quotes" },
	{ "[x]\nPath=\"/a\n" ME, ":2: [x]: Path=: values stand without quotes" },
};

START_TEST(wrong_section)
{
	char expected[4096];

	fixture_write("files.conf", "[good]\nPath=/good\n" ME, 0644);
	fixture_write("files.conf.d/x.conf", wrong[_i].section, 0644);
	load();
	(void)snprintf(expected, sizeof(expected), "%s%s", fixture_path("files.conf.d/x.conf"), wrong[_i].error);
	ck_assert_msg(strstr(told, expected), "%s", told);
	ck_assert_uint_ge(policy->n_errors, 1);
	ck_assert(broken("x"));
	ck_assert(granted("good"));
	ck_assert_uint_eq(policy->n_granted, 1);
}
END_TEST

/* What can't be tied to a section breaks all of them. */
static const struct {
	const char *content, *error;
	int line;
} unclear[] = {
	{ "[a\nPath=/a\n" ME, "a section is [NAME]", 1 },
	{ "[a] b\nPath=/a\n" ME, "a section is [NAME]", 1 },
	{ "[a] # b\nPath=/a\n" ME, "a section is [NAME]", 1 },
	{ "[]\nPath=/a\n" ME, "a section's name has", 1 },
	{ "[ a ]\nPath=/a\n" ME, "a section's name has", 1 },
	{ "[a/b]\nPath=/a\n" ME, "a section's name has", 1 },
	{ "[a]]\nPath=/a\n" ME, "a section's name has", 1 },
	{ "[\xc3\xa4]\nPath=/a\n" ME, "a section's name has", 1 },
	{ "[0123456789012345678901234567890123456789012345678901234567890123]\n", "a section's name has 1 to 63", 1 },
	{ "Path=/a\n", "Path= stands in no section", 1 },
	{ "[a]\nPath=/a\n" ME "good]\nType=device\n", "neither a [section] nor Key=value", 4 },
	{ "[a]\nPath=/a\n" ME "; comment\n", "neither a [section] nor Key=value", 4 },
	{ "[a]\nPath\n" ME, "neither a [section] nor Key=value", 2 },
	{ "[a]\n Path=/a\n" ME, "it begins with a blank", 2 },
	{ "[a]\nPath=/a\nAllowUnit=a.service\n\tb.service\n", "it begins with a blank", 4 },
	{ "[a]\nPath=/a\n" ME " [good]\n", "it begins with a blank", 4 },
	{ "[a]\r\nPath=/a\r\n" ME, "there is a control character in it (0x0d)", 1 },
	{ "[a]\nPath=/a\x1b\n" ME, "there is a control character in it (0x1b)", 2 },
};

START_TEST(unclear_file)
{
	char expected[4096];

	fixture_write("files.conf", "[good]\nPath=/good\n" ME, 0644);
	fixture_write("files.conf.d/x.conf", unclear[_i].content, 0644);
	load();
	(void)snprintf(expected, sizeof(expected), "%s:%d: %s", fixture_path("files.conf.d/x.conf"), unclear[_i].line,
		       unclear[_i].error);
	ck_assert_msg(strstr(told, expected), "%s", told);
	ck_assert(broken("good"));
	ck_assert_uint_eq(policy->n_granted, 0);
}
END_TEST

START_TEST(a_nul_is_seen)
{
	fixture_write("files.conf", "[a]\nPath=/a\n" ME, 0644);
	ck_assert_int_eq(truncate(fixture_path("files.conf"), 100), 0);
	load();
	ck_assert_ptr_nonnull(strstr(told, ":4: there is a control character in it (0x00)"));
	ck_assert(!granted("a"));
}
END_TEST

START_TEST(bounds)
{
	static char text[3 << 20];
	size_t used;

	/* a long value, and one too long */
	used = (size_t)snprintf(text, sizeof(text), "[a]\nPath=/a\nAllowUser=");
	while (used < 7000)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%*d ", 40, 1000);
	(void)snprintf(text + used, sizeof(text) - used, "\n[b]\nPath=/b\n" ME);
	fixture_write("files.conf", text, 0644);
	load();
	ck_no_errors();
	ck_assert_uint_ge(policy_find(policy, "a")->n_users, 160);
	ck_assert(granted("b"));

	used = (size_t)snprintf(text, sizeof(text), "[a]\nPath=/a\nAllowUser=1000");
	memset(text + used, ' ', 8000);
	(void)snprintf(text + used + 8000, sizeof(text) - used - 8000, "1000\n");
	fixture_write("files.conf", text, 0644);
	load();
	ck_assert_ptr_nonnull(strstr(told, ":3: more than 8000 characters"));

	/* too many entries */
	used = (size_t)snprintf(text, sizeof(text), "[a]\nPath=/a\nAllowUser=");
	for (int i = 0; i < POLICY_LIST_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%d ", 1000 + i);
	fixture_write("files.conf", text, 0644);
	load();
	ck_no_errors();
	ck_assert_uint_eq(policy_find(policy, "a")->n_users, POLICY_LIST_MAX);
	(void)snprintf(text + used, sizeof(text) - used, "999\n");
	fixture_write("files.conf", text, 0644);
	load();
	ck_assert_ptr_nonnull(strstr(told, "more than 256 entries"));

	/* too many sections */
	used = 0;
	for (int i = 0; i <= POLICY_SECTIONS_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "[s%d]\nPath=/a\n" ME, i);
	fixture_write("files.conf", text, 0644);
	load();
	ck_assert_ptr_nonnull(strstr(told, "more than 1024 files"));
	ck_assert_uint_eq(policy->n_granted, 0);
	ck_assert_uint_eq(policy->n_grants, POLICY_SECTIONS_MAX);

	/* too large */
	memset(text, '#', POLICY_FILE_SIZE_MAX + 1);
	text[POLICY_FILE_SIZE_MAX + 1] = '\0';
	fixture_write("files.conf", text, 0644);
	load();
	ck_assert_ptr_nonnull(strstr(told, "the file is larger than 1048576 bytes"));
}
END_TEST

START_TEST(as_many_as_may_be)
{
	static char text[1 << 18];
	size_t used = 0;
	char name[32];

	for (int i = 0; i < POLICY_SECTIONS_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "[s%d]\nPath=/p%d\n" ME, i, i);
	fixture_write("files.conf", text, 0644);
	load();
	ck_no_errors();
	ck_assert_uint_eq(policy->n_granted, POLICY_SECTIONS_MAX);
	for (int i = 0; i < POLICY_SECTIONS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		ck_assert_str_eq(policy_find(policy, name)->path + 2, name + 1);
	}
}
END_TEST

START_TEST(names)
{
	for (int access = GRANT_READ; access <= GRANT_APPEND; access++) {
		char text[256];

		(void)snprintf(text, sizeof(text), "[x]\nPath=/x\nAccess=%s\n" ME,
			       grant_access_words[access]);
		fixture_write("files.conf", text, 0644);
		load();
		ck_no_errors();
		ck_assert_int_eq(policy_find(policy, "x")->access, (enum grant_access)access);
	}
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(everything),
		UNIT_TEST(defaults),
		UNIT_TEST(blank_lines_and_comments_are_nothing),
		UNIT_LOOP(wrong_section, ELEMENTSOF(wrong)),
		UNIT_LOOP(unclear_file, ELEMENTSOF(unclear)),
		UNIT_TEST(a_nul_is_seen),
		UNIT_TEST(bounds),
		UNIT_TEST(as_many_as_may_be),
		UNIT_TEST(names),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("policy", tests, &(struct unit_around){ fixture_setup, policy_teardown, 60 });
}
