/* SPDX-License-Identifier: MIT
 *
 * Policy and client together: from the text of files to the decision and its reason, one case a row. The opener reads
 * the files, the client asks for "x".
 */
#include <sys/stat.h>

#include "opener/deciding/decide.h"
#include "policy_fixture.h"

#define DROP_INS "files.conf.d/"
#define BROKEN "the policy has an error here"
#define NO_USER "the client's user is not in AllowUser="
#define NO_GROUP "none of the client's groups is in AllowGroup="
#define NO_UNIT "the client's unit is not in AllowUnit="
#define IN_NO_UNIT "the client runs in no system unit"
#define UNKNOWN NULL
#define NOT_A_UNIT "is not the full name of a unit that processes run in"
#define X "[x]\nPath=/x\n"

/* Instead of writing a drop-in. */
enum trick {
	NO_TRICK,
	CYCLE,	   /* b.conf links to a.conf, which links to b.conf */
	SELF,	   /* a.conf links to itself */
	DANGLING,  /* a.conf links to what is not there */
	MASK,	   /* a.conf links to /dev/null */
	FIFO,	   /* a.conf is one */
	DIRECTORY, /* a.conf is one */
	OPEN_DIRECTORY, /* everybody can write files.conf.d */
};

struct who {
	uid_t uid;
	gid_t gid;
	const char *unit;
	gid_t groups[3]; /* supplementary, up to the first 0 */
	int pidfd;
	bool gone;
};

struct row {
	const char *what;
	const char *main, *a, *b; /* files.conf, a.conf and b.conf; NULL: not there */
	struct who who;
	bool permitted;
	const char *reason; /* a part of it; UNKNOWN: there is no such file */
	const char *told;   /* a part of what is wrong with the policy; NULL: nothing is */
	const char *ask;    /* NULL: "x" */
	mode_t mode;	    /* of a.conf; 0: 0644 */
	enum trick trick;
};

#define ALICE { .uid = 1000, .gid = 1000 }
#define ROOT { .uid = 0, .gid = 0 }
#define IN(name) { .uid = 1000, .gid = 1000, .unit = (name) }
#define YES true, "name"
#define NO false

static const struct row users[] = {
	{ "by number", X "AllowUser=1000\n", .who = ALICE, YES },
	{ "by name", X "AllowUser=root\n", .who = ROOT, YES },
	{ "by the name of another", X "AllowUser=daemon\n", .who = { .uid = 1, .gid = 1 }, YES },
	{ "the name of another, not his", X "AllowUser=daemon\n", .who = ALICE, NO, NO_USER },
	{ "root is in no list by himself", X "AllowUser=1000\n", .who = ROOT, NO, NO_USER },
	{ "the last of a list", X "AllowUser=1 2 3 1000\n", .who = ALICE, YES },
	{ "twice in a list", X "AllowUser=1000 1000\n", .who = ALICE, YES },
	{ "by name and number", X "AllowUser=root 0\n", .who = ROOT, YES },
	{ "in none of a list", X "AllowUser=1 2 3\n", .who = ALICE, NO, NO_USER },
	{ "the beginning of a number", X "AllowUser=100\n", .who = ALICE, NO, NO_USER },
	{ "a number that begins so", X "AllowUser=10000\n", .who = ALICE, NO, NO_USER },
	{ "a number beyond 16 bits", X "AllowUser=66536\n", .who = ALICE, NO, NO_USER },
	{ "the beginning of a name", X "AllowUser=roo\n", .who = ROOT, NO, BROKEN, "there is no user \"roo\"" },
	{ "a name that begins so", X "AllowUser=roots\n", .who = ROOT, NO, BROKEN, "there is no user \"roots\"" },
	{ "a name in capitals", X "AllowUser=ROOT\n", .who = ROOT, NO, BROKEN, "there is no user \"ROOT\"" },
	{ "one of a list is nobody", X "AllowUser=root no-such-user\n", .who = ROOT, NO, BROKEN, "no-such-user" },
	{ "zeros in front", X "AllowUser=01000\n", .who = ALICE, NO, BROKEN, "begins with a 0" },
	{ "hexadecimal", X "AllowUser=0x3e8\n", .who = ALICE, NO, BROKEN, "there is no user \"0x3e8\"" },
	{ "a sign", X "AllowUser=+1000\n", .who = ALICE, NO, BROKEN, "there is no user \"+1000\"" },
	{ "a number beyond 32 bits", X "AllowUser=4294968296\n", .who = ALICE, NO, BROKEN, "4294968296" },
	{ "commas", X "AllowUser=1000,1\n", .who = ALICE, NO, BROKEN, "there is no user \"1000,1\"" },
	{ "everybody", X "AllowUser=*\n", .who = ALICE, NO, BROKEN, "there is no user \"*\"" },
	{ "65534", X "AllowUser=65534\n", .who = { .uid = 65534, .gid = 65534 }, NO, BROKEN, "who can't be named" },
	{ "who has left", X "AllowUser=1000\n", .who = { 1000, 1000, .gone = true }, NO, "has exited" },
};

static const struct row groups[] = {
	{ "primary", X "AllowGroup=1000\n", .who = ALICE, YES },
	{ "supplementary", X "AllowGroup=4\n", .who = { 1000, 1000, .groups = { 7, 4 } }, YES },
	{ "by name", X "AllowGroup=root\n", .who = { .uid = 1000, .gid = 0 }, YES },
	{ "the second of a list", X "AllowGroup=5 4\n", .who = { 1000, 1000, .groups = { 4 } }, YES },
	{ "another", X "AllowGroup=4\n", .who = { 1000, 1000, .groups = { 5, 40 } }, NO, NO_GROUP },
	{ "the user of that number", X "AllowGroup=4\n", .who = { .uid = 4, .gid = 1000 }, NO, NO_GROUP },
	{ "the group of a user's number", X "AllowUser=4\n", .who = { .uid = 1000, .gid = 4 }, NO, NO_USER },
	{ "root is in none by himself", X "AllowGroup=4\n", .who = ROOT, NO, NO_GROUP },
	{ "65534", X "AllowGroup=65534\n", .who = { .uid = 1000, .gid = 65534 }, NO, BROKEN, "who can't be named" },
	{ "the beginning of a name", X "AllowGroup=roo\n", .who = ROOT, NO, BROKEN, "there is no group \"roo\"" },
	{ "with the user", X "AllowUser=1000\nAllowGroup=4\n", .who = { .uid = 1000, .gid = 4 }, YES },
	{ "without the user", X "AllowUser=1000\nAllowGroup=4\n", .who = { .uid = 1001, .gid = 4 }, NO, NO_USER },
	{ "but the user", X "AllowUser=1000\nAllowGroup=4\n", .who = { .uid = 1000, .gid = 5 }, NO, NO_GROUP },
};

static const struct row units[] = {
	{ "a service", X "AllowUnit=a.service\n", .who = IN("a.service"), YES },
	{ "a scope", X "AllowUnit=session-1.scope\n", .who = IN("session-1.scope"), YES },
	{ "what else has processes", X "AllowUnit=a.socket b.mount c.swap\n", .who = IN("b.mount"), YES },
	{ "an escaped name", X "AllowUnit=dev-disk\\x2dby.swap\n", .who = IN("dev-disk\\x2dby.swap"), YES },
	{ "an instance", X "AllowUnit=a@b.service\n", .who = IN("a@b.service"), YES },
	{ "twice", X "AllowUnit=a.service a.service\n", .who = IN("a.service"), YES },
	{ "another instance", X "AllowUnit=a@b.service\n", .who = IN("a@bb.service"), NO, NO_UNIT },
	{ "no instance", X "AllowUnit=a@b.service\n", .who = IN("a.service"), NO, NO_UNIT },
	{ "an instance of it", X "AllowUnit=a.service\n", .who = IN("a@b.service"), NO, NO_UNIT },
	{ "a template", X "AllowUnit=a@.service\n", .who = IN("a@b.service"), NO, BROKEN, NOT_A_UNIT },
	{ "a name that begins so", X "AllowUnit=a.service\n", .who = IN("aa.service"), NO, NO_UNIT },
	{ "a name that begins with all of it", X "AllowUnit=a.service\n", .who = IN("a.service.service"), NO, NO_UNIT },
	{ "the beginning of a name", X "AllowUnit=aa.service\n", .who = IN("a.service"), NO, NO_UNIT },
	{ "a name that ends so", X "AllowUnit=a.service\n", .who = IN("b-a.service"), NO, NO_UNIT },
	{ "in capitals", X "AllowUnit=a.service\n", .who = IN("A.service"), NO, NO_UNIT },
	{ "a scope of that name", X "AllowUnit=a.service\n", .who = IN("a.scope"), NO, NO_UNIT },
	/* Users' units are not told from each other: all are in their manager's. */
	{ "a user's manager", X "AllowUnit=user@1000.service\n", .who = IN("user@1000.service"), YES },
	{ "a user's own unit", X "AllowUnit=a.service\n", .who = IN("user@1000.service"), NO, NO_UNIT },
	{ "another user's manager", X "AllowUnit=user@100.service\n", .who = IN("user@1000.service"), NO, NO_UNIT },
	{ "a slice", X "AllowUnit=system.slice\n", .who = IN("a.service"), NO, BROKEN, NOT_A_UNIT },
	{ "a user's slice", X "AllowUnit=user-1000.slice\n", .who = IN("session-1.scope"), NO, BROKEN, NOT_A_UNIT },
	{ "a target", X "AllowUnit=basic.target\n", .who = IN("a.service"), NO, BROKEN, NOT_A_UNIT },
	{ "without its kind", X "AllowUnit=a\n", .who = IN("a.service"), NO, BROKEN, NOT_A_UNIT },
	{ "a pattern", X "AllowUnit=a*.service\n", .who = IN("aa.service"), NO, BROKEN, NOT_A_UNIT },
	{ "a cgroup", X "AllowUnit=a.service/sub\n", .who = IN("a.service"), NO, BROKEN, NOT_A_UNIT },
	{ "in none", X "AllowUnit=a.service\n", .who = ALICE, NO, IN_NO_UNIT },
	{ "root in none", X "AllowUnit=a.service\n", .who = ROOT, NO, IN_NO_UNIT },
	{ "of a user", X "AllowUser=1000\nAllowUnit=a.service\n", .who = IN("a.service"), YES },
	{ "of another user", X "AllowUser=1001\nAllowUnit=a.service\n", .who = IN("a.service"), NO, NO_USER },
	{ "another of the user", X "AllowUser=1000\nAllowUnit=b.service\n", .who = IN("a.service"), NO, NO_UNIT },
	{ "an old kernel", X "AllowUnit=a.service\n",
	  .who = { 1000, 1000, "a.service", .pidfd = -ENOPROTOOPT, .gone = true }, NO, "needs Linux 6.5" },
	{ "left by its process", X "AllowUnit=a.service\n",
	  .who = { 1000, 1000, "a.service", .gone = true }, NO, "has exited" },
};

/* Names of files, what is not said, and what is said twice. */
static const struct row texts[] = {
	{ "the beginning of a name", "[xy]\nPath=/x\nAllowUser=1000\n", .who = ALICE, NO, UNKNOWN },
	{ "a name that begins so", X "AllowUser=1000\n", .who = ALICE, NO, UNKNOWN, .ask = "xx" },
	{ "in capitals", X "AllowUser=1000\n", .who = ALICE, NO, UNKNOWN, .ask = "X" },
	{ "no name", X "AllowUser=1000\n", .who = ALICE, NO, UNKNOWN, .ask = "" },
	{ "the path", X "AllowUser=1000\n", .who = ALICE, NO, UNKNOWN, .ask = "/x" },
	{ "a name with everything", "[a.b_c@d:e+f-g]\nPath=/x\nAllowUser=1000\n", .who = ALICE, YES, .ask = "a.b_c@d:e+f-g" },
	{ "no policy at all", .who = ROOT, NO, UNKNOWN },
	{ "an empty policy", "", .who = ROOT, NO, UNKNOWN },
	{ "nobody is named", X, .who = ROOT, NO, BROKEN, "none of AllowUser=, AllowGroup= and AllowUnit= is given" },
	{ "an empty list", X "AllowUser=\n", .who = ROOT, NO, BROKEN, "the value is empty" },
	{ "a list of blanks", X "AllowUser= \t \n", .who = ROOT, NO, BROKEN, "the value is empty" },
	{ "an empty list beside another", X "AllowUser=0\nAllowUnit=\n", .who = ROOT, NO, BROKEN, "the value is empty" },
	{ "a list twice", X "AllowUser=0\nAllowUser=1\n", .who = ROOT, NO, BROKEN, "was already given in line 3" },
	{ "a section twice", X "AllowUser=0\n[x]\nAllowUser=1\n", .who = ROOT, NO, BROKEN, "was already begun in line 1" },
	{ "a list of no such key", X "AllowUsers=0\n", .who = ROOT, NO, BROKEN, "there is no such key" },
	{ "a list outside", "AllowUser=0\n" X "AllowUser=0\n", .who = ROOT, NO, BROKEN, "stands in no section" },
};

/* What is laid over files.conf. */
#define ALL X "AllowUser=1000\n"
static const struct row layers[] = {
	{ "a unit as well", ALL, "[x]\nAllowUnit=a.service\n", .who = ALICE, NO, IN_NO_UNIT },
	{ "another user instead", ALL, "[x]\nAllowUser=1001\n", .who = ALICE, NO, NO_USER },
	{ "the last says", ALL, "[x]\nAllowUser=1001\n", "[x]\nAllowUser=1000\n", .who = ALICE, YES },
	{ "another file", ALL, "[y]\nPath=/y\nAllowUser=1001\n", .who = ALICE, YES },
	{ "nothing", ALL, "", .who = ALICE, YES },
	{ "the whole of it", NULL, ALL, .who = ALICE, YES },
	{ "nobody any more", ALL, "[x]\nAllowUser=\n", .who = ALICE, NO, BROKEN, "a.conf:2: [x]: AllowUser=: the value is" },
	{ "a user who is none", ALL, "[x]\nAllowUser=none-such\n", .who = ALICE, NO, BROKEN, "a.conf:2: [x] AllowUser=: " },
	{ "what is not clear", ALL, "[x\n", .who = ALICE, NO, BROKEN, "a.conf:1: a section is [NAME]" },
	{ "what is wrong elsewhere", ALL, "[y]\nPath=y\nAllowUser=1\n", .who = ALICE, YES, "a.conf:2: [y] Path=: " },
	{ "group-writable", ALL, "", .who = ALICE, NO, BROKEN, "a.conf: not read, because others than root", .mode = 0664 },
	{ "world-writable", ALL, "", .who = ALICE, NO, BROKEN, "a.conf: not read, because others than root", .mode = 0646 },
	{ "in a world-writable directory", ALL, "", .who = ALICE, NO, BROKEN, "files.conf.d: not read, because others",
	  .trick = OPEN_DIRECTORY },
	{ "a cycle", ALL, .who = ALICE, NO, BROKEN, "a.conf: can't be read: Too many levels", .trick = CYCLE },
	{ "a link to itself", ALL, .who = ALICE, NO, BROKEN, "a.conf: can't be read: Too many levels", .trick = SELF },
	{ "a link to nothing", ALL, .who = ALICE, NO, BROKEN, "a.conf: can't be read: No such file", .trick = DANGLING },
	{ "a mask", ALL, .who = ALICE, YES, .trick = MASK },
	{ "a FIFO", ALL, .who = ALICE, NO, BROKEN, "a.conf: not a regular file", .trick = FIFO },
	{ "a directory", ALL, .who = ALICE, NO, BROKEN, "a.conf: not a regular file", .trick = DIRECTORY },
};

static void play(enum trick trick)
{
	const char *directory = fixture_path(DROP_INS), *a = fixture_path(DROP_INS "a.conf");

	if (trick == NO_TRICK)
		return;
	(void)mkdir(directory, 0755);
	if (trick == CYCLE)
		ck_assert_int_eq(symlink("b.conf", a) + symlink("a.conf", fixture_path(DROP_INS "b.conf")), 0);
	else if (trick == SELF)
		ck_assert_int_eq(symlink("a.conf", a), 0);
	else if (trick == DANGLING)
		ck_assert_int_eq(symlink("nothing", a), 0);
	else if (trick == MASK)
		ck_assert_int_eq(symlink("/dev/null", a), 0);
	else if (trick == FIFO)
		ck_assert_int_eq(mkfifo(a, 0600), 0);
	else if (trick == DIRECTORY)
		ck_assert_int_eq(mkdir(a, 0755), 0);
	else
		ck_assert_int_eq(chmod(directory, 0777), 0);
}

static struct identity client_of(const struct who *who, gid_t *room)
{
	struct identity client = fixture_client(who->uid, who->gid);

	for (size_t i = 0; i < ELEMENTSOF(who->groups) && who->groups[i] != 0; i++)
		room[client.n_groups++] = who->groups[i];
	client.groups = room;
	client.unit = (char *)(uintptr_t)who->unit;
	if (who->pidfd != 0)
		client.pidfd = who->pidfd;
	return client;
}

static void ck_row(const struct row *row)
{
	gid_t room[ELEMENTSOF(row->who.groups)];
	struct identity client = client_of(&row->who, room);
	const struct grant *grant;
	struct decision decision;

	if (row->main)
		fixture_write("files.conf", row->main, 0644);
	if (row->a)
		fixture_write(DROP_INS "a.conf", row->a, row->mode ? row->mode : 0644);
	if (row->b)
		fixture_write(DROP_INS "b.conf", row->b, 0644);
	play(row->trick);

	load();
	if (row->told)
		ck_assert_msg(strstr(told, row->told), "%s: told: %s", row->what, told);
	else
		ck_assert_msg(told[0] == '\0', "%s: told: %s", row->what, told);

	grant = policy_find(policy, row->ask ? row->ask : "x");
	ck_assert_msg((grant == NULL) == (row->reason == UNKNOWN), "%s: is there such a file?", row->what);
	if (!grant)
		return;
	decision = decide(grant, &client, !row->who.gone);
	ck_assert_msg(decision.permitted == row->permitted, "%s: %s", row->what, decision.reason);
	ck_assert_msg(strstr(decision.reason, row->reason), "%s: %s", row->what, decision.reason);
}

#define TABLE_TEST(table) START_TEST(table##_row) { ck_row(&table[_i]); } END_TEST
TABLE_TEST(users)
TABLE_TEST(groups)
TABLE_TEST(units)
TABLE_TEST(texts)
TABLE_TEST(layers)

/* Root reads everything, but not on every file system: so somebody else reads here. */
static int read_as_somebody(void *data)
{
	(void)data;
	if (getuid() == 0)
		unit_expect(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
	load();
	unit_expect(strstr(told, "a.conf: can't be read: Permission denied"));
	unit_expect(broken("x"));
	return 0;
}

START_TEST(an_unreadable_drop_in)
{
	fixture_write("files.conf", ALL, 0644);
	fixture_write(DROP_INS "a.conf", "[x]\nAllowUnit=a.service\n", 0);
	ck_assert_int_eq(chmod(fixture_directory, 0755), 0);
	ck_assert_int_eq(unit_in_child(read_as_somebody, NULL), 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(users_row, ELEMENTSOF(users)),   UNIT_LOOP(groups_row, ELEMENTSOF(groups)),
		UNIT_LOOP(units_row, ELEMENTSOF(units)),   UNIT_LOOP(texts_row, ELEMENTSOF(texts)),
		UNIT_LOOP(layers_row, ELEMENTSOF(layers)), UNIT_TEST(an_unreadable_drop_in),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("policy_table", tests, &(struct unit_around){ fixture_setup, policy_teardown, 60 });
}
