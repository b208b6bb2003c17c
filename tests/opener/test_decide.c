/* SPDX-License-Identifier: MIT
 *
 * The decision, as a table: who asks for what, and what comes of it.
 */
#include "fixture.h"
#include "opener/deciding/decide.h"

/* Lists end with the first 0 or NULL. uid 0 and gid 0 can't be in these, so root has cases of its own below. */
struct row {
	const char *what;
	struct {
		unsigned users[4], groups[4];
		const char *units[4];
		bool broken;
	} grant;
	struct {
		unsigned uid, gid, groups[4];
		const char *unit;
		int pidfd;
		bool invisible, gone, unknown;
	} client;
	bool permitted;
	const char *reason; /* a part of it */
};

#define OLD_KERNEL (-ENOPROTOOPT)

#define WHO(u, g, ...) { .uid = (u), .gid = (g), ##__VA_ARGS__ }

static const struct row rows[] = {
	/* users */
	{ "the only user", { .users = { 33 } }, WHO(33, 33), true, "AllowUser=" },
	{ "the second of two users", { .users = { 12, 33 } }, WHO(33, 33), true, "AllowUser=" },
	{ "the last of four users", { .users = { 1, 2, 3, 33 } }, WHO(33, 33), true, "AllowUser=" },
	{ "a user given twice", { .users = { 33, 33 } }, WHO(33, 33), true, "AllowUser=" },
	{ "another user", { .users = { 33 } }, WHO(34, 33), false, "not in AllowUser=" },
	{ "a user one above", { .users = { 33 } }, WHO(34, 34), false, "not in AllowUser=" },
	{ "root is nobody special", { .users = { 33 } }, WHO(0, 0), false, "not in AllowUser=" },
	{ "the group of that number", { .users = { 33 } }, WHO(1000, 33, .groups = { 33 }), false, "not in AllowUser=" },
	{ "a uid that differs above 16 bits", { .users = { 33 } }, WHO(65536 + 33, 33), false, "not in AllowUser=" },
	/* groups */
	{ "the primary group", { .groups = { 4 } }, WHO(1000, 4), true, "AllowGroup=" },
	{ "a supplementary group", { .groups = { 4 } }, WHO(1000, 1000, .groups = { 7, 4 }), true, "AllowGroup=" },
	{ "the second of two groups", { .groups = { 5, 4 } }, WHO(1000, 1000, .groups = { 4 }), true, "AllowGroup=" },
	{ "another group", { .groups = { 4 } }, WHO(1000, 1000, .groups = { 7, 8 }), false, "AllowGroup=" },
	{ "no group at all", { .groups = { 4 } }, WHO(1000, 1000), false, "AllowGroup=" },
	{ "the user of that number", { .groups = { 4 } }, WHO(4, 1000), false, "AllowGroup=" },
	{ "root in no such group", { .groups = { 4 } }, WHO(0, 1000), false, "AllowGroup=" },
	{ "nogroup is everybody's", { .groups = { 65534 } }, WHO(1000, 65534), false, "AllowGroup=" },
	{ "nogroup, supplementary", { .groups = { 65534 } }, WHO(1000, 1000, .groups = { 65534 }), false, "AllowGroup=" },
	/* units */
	{ "the unit", { .units = { "a.service" } }, WHO(1000, 1000, .unit = "a.service"), true, "AllowUnit=" },
	{ "the second unit", { .units = { "b.service", "a.service" } }, WHO(1000, 1000, .unit = "a.service"), true,
	  "AllowUnit=" },
	{ "an instance", { .units = { "a@x.service" } }, WHO(1, 1, .unit = "a@x.service"), true, "AllowUnit=" },
	{ "another instance", { .units = { "a@x.service" } }, WHO(1, 1, .unit = "a@y.service"), false,
	  "not in AllowUnit=" },
	{ "another unit", { .units = { "a.service" } }, WHO(1, 1, .unit = "b.service"), false, "not in AllowUnit=" },
	{ "a unit that begins so", { .units = { "a.service" } }, WHO(1, 1, .unit = "a.service2"), false,
	  "not in AllowUnit=" },
	{ "a unit that is a beginning", { .units = { "ab.service" } }, WHO(1, 1, .unit = "ab"), false,
	  "not in AllowUnit=" },
	{ "a unit in capitals", { .units = { "a.service" } }, WHO(1, 1, .unit = "A.service"), false,
	  "not in AllowUnit=" },
	{ "a scope of that name", { .units = { "a.service" } }, WHO(1, 1, .unit = "a.scope"), false,
	  "not in AllowUnit=" },
	{ "an empty unit", { .units = { "a.service" } }, WHO(1, 1, .unit = ""), false, "not in AllowUnit=" },
	{ "no unit", { .units = { "a.service" } }, WHO(1, 1), false, "runs in no system unit" },
	{ "root in no unit", { .units = { "a.service" } }, WHO(0, 0), false, "runs in no system unit" },
	/* kinds together */
	{ "user and group", { .users = { 33 }, .groups = { 4 } }, WHO(33, 4), true, "AllowUser= and AllowGroup=" },
	{ "user without group", { .users = { 33 }, .groups = { 4 } }, WHO(33, 5), false, "AllowGroup=" },
	{ "group without user", { .users = { 33 }, .groups = { 4 } }, WHO(34, 4), false, "AllowUser=" },
	{ "user and unit", { .users = { 33 }, .units = { "a.service" } }, WHO(33, 1, .unit = "a.service"), true,
	  "AllowUser= and AllowUnit=" },
	{ "user in another unit", { .users = { 33 }, .units = { "a.service" } }, WHO(33, 1, .unit = "b.service"), false,
	  "not in AllowUnit=" },
	{ "another user in the unit", { .users = { 33 }, .units = { "a.service" } }, WHO(34, 1, .unit = "a.service"), false,
	  "not in AllowUser=" },
	{ "group and unit", { .groups = { 4 }, .units = { "a.service" } }, WHO(1, 4, .unit = "a.service"), true,
	  "AllowGroup= and AllowUnit=" },
	{ "all three", { .users = { 33 }, .groups = { 4 }, .units = { "a.service" } }, WHO(33, 1, .groups = { 4 }, .unit = "a.service"), true,
	  "AllowUser=, AllowGroup= and AllowUnit=" },
	{ "two of three", { .users = { 33 }, .groups = { 4 }, .units = { "a.service" } }, WHO(33, 1, .groups = { 5 }, .unit = "a.service"), false,
	  "AllowGroup=" },
	/* nobody */
	{ "uid 65534", { .groups = { 4 } }, WHO(65534, 4), false, "uid 65534" },
	{ "uid 65534, allowed", { .users = { 65534 } }, WHO(65534, 4), false, "uid 65534" },
	{ "uid 65534 in the unit", { .units = { "a.service" } }, WHO(65534, 4, .unit = "a.service"), false,
	  "uid 65534" },
	{ "no uid", { .users = { (unsigned)-1 } }, WHO((unsigned)-1, 4), false, "nothing of who connected" },
	{ "gid -1", { .groups = { (unsigned)-1 } }, WHO(1000, (unsigned)-1), false, "AllowGroup=" },
	{ "pid 0", { .users = { 33 } }, WHO(33, 33, .invisible = true), false, "pid 0" },
	{ "nothing known", { .users = { 33 } }, WHO(33, 33, .unknown = true), false, "nothing of who connected" },
	/* the process */
	{ "gone", { .users = { 33 } }, WHO(33, 33, .gone = true), false, "has exited" },
	{ "gone and reaped", { .users = { 33 } }, WHO(33, 33, .pidfd = -ESRCH, .gone = true), false, "has exited" },
	{ "gone, its unit still known", { .units = { "a.service" } }, WHO(1, 1, .unit = "a.service", .gone = true),
	  false, "has exited" },
	{ "a pidfd that failed", { .users = { 33 } }, WHO(33, 33, .pidfd = -EIO, .gone = true), false, "has exited" },
	{ "an old kernel, by user", { .users = { 33 } }, WHO(33, 33, .pidfd = OLD_KERNEL, .gone = true), true,
	  "AllowUser=" },
	{ "an old kernel, by group", { .groups = { 4 } }, WHO(33, 4, .pidfd = OLD_KERNEL, .gone = true), true,
	  "AllowGroup=" },
	{ "an old kernel, by unit", { .units = { "a.service" } }, WHO(1, 1, .pidfd = OLD_KERNEL, .gone = true), false,
	  "needs Linux 6.5" },
	{ "an old kernel, a unit out of nowhere", { .units = { "a.service" } },
	  WHO(1, 1, .unit = "a.service", .pidfd = OLD_KERNEL, .gone = true), false, "needs Linux 6.5" },
	{ "an old kernel, user and unit", { .users = { 33 }, .units = { "a.service" } },
	  WHO(33, 1, .pidfd = OLD_KERNEL, .gone = true), false, "needs Linux 6.5" },
	/* grants that are none */
	{ "a grant for nobody", { .users = { 0 } }, WHO(33, 33), false, "nobody is allowed" },
	{ "a grant for nobody, root", { .users = { 0 } }, WHO(0, 0), false, "nobody is allowed" },
	{ "a broken grant", { .users = { 33 }, .broken = true }, WHO(33, 33), false, "the policy has an error" },
	{ "a broken grant, root", { .users = { 33 }, .broken = true }, WHO(0, 0), false, "the policy has an error" },
};

START_TEST(row)
{
	const struct row *r = &rows[_i];
	struct grant grant = { .name = "file", .broken = r->grant.broken };
	struct identity client = fixture_client(r->client.uid, r->client.gid);
	struct decision decision;
	uid_t users[4];
	gid_t groups[4], client_groups[4];
	char *units[4];

	for (size_t i = 0; i < 4 && r->grant.users[i]; i++)
		users[grant.n_users++] = r->grant.users[i];
	for (size_t i = 0; i < 4 && r->grant.groups[i]; i++)
		groups[grant.n_groups++] = r->grant.groups[i];
	for (size_t i = 0; i < 4 && r->grant.units[i]; i++)
		units[grant.n_units++] = (char *)(uintptr_t)r->grant.units[i];
	for (size_t i = 0; i < 4 && r->client.groups[i]; i++)
		client_groups[client.n_groups++] = r->client.groups[i];
	grant.users = users;
	grant.groups = groups;
	grant.units = units;
	client.groups = client_groups;

	if (r->client.invisible)
		client.pid = 0;
	if (r->client.pidfd != 0)
		client.pidfd = r->client.pidfd;
	if (r->client.unknown)
		client.known = 0;
	client.unit = (char *)(uintptr_t)r->client.unit;

	decision = decide(&grant, &client, !r->client.gone);
	ck_assert_msg(decision.permitted == r->permitted, "%s: %s", r->what, decision.reason);
	ck_assert_msg(strstr(decision.reason, r->reason), "%s: %s", r->what, decision.reason);
}
END_TEST

START_TEST(root_by_name)
{
	uid_t users[] = { 0 };
	gid_t groups[] = { 0 };
	struct grant grant = { .users = users, .n_users = 1, .groups = groups, .n_groups = 1 };
	struct identity root = fixture_client(0, 0), other = fixture_client(1000, 0);

	ck_assert(decide(&grant, &root, true).permitted);
	ck_assert(!decide(&grant, &other, true).permitted);
}
END_TEST

START_TEST(an_empty_identity)
{
	uid_t users[] = { 0, 65534, (uid_t)-1 };
	struct grant grant = { .users = users, .n_users = ELEMENTSOF(users) };
	struct identity nobody;

	identity_init(&nobody);
	ck_assert(!decide(&grant, &nobody, true).permitted);
	ck_assert(!decide(&grant, &nobody, false).permitted);
}
END_TEST

/* Every refusal has a reason of its own. */
START_TEST(reasons_differ)
{
	char *unit[] = { (char *)(uintptr_t) "a.service" };
	uid_t users[] = { 33 };
	gid_t groups[] = { 4 };
	struct grant grants[] = {
		{ .broken = true },
		{ .n_users = 0 },
		{ .users = users, .n_users = 1 },
		{ .groups = groups, .n_groups = 1 },
		{ .units = unit, .n_units = 1 },
	};
	struct identity clients[] = {
		fixture_client(1000, 1000), fixture_client(1000, 1000), fixture_client(65534, 1),
		fixture_client(1000, 1000), fixture_client(1000, 1000), fixture_client(1000, 1000),
	};
	const char *reasons[ELEMENTSOF(clients) + ELEMENTSOF(grants) + 1];
	size_t n = 0;

	for (size_t i = 0; i < ELEMENTSOF(grants); i++)
		reasons[n++] = decide(&grants[i], &clients[0], true).reason;
	clients[0].unit = (char *)(uintptr_t) "b.service";
	reasons[n++] = decide(&grants[4], &clients[0], true).reason;
	clients[1].pid = 0;
	reasons[n++] = decide(&grants[2], &clients[1], true).reason;
	reasons[n++] = decide(&grants[2], &clients[2], true).reason;
	reasons[n++] = decide(&grants[2], &clients[3], false).reason;
	clients[4].known = 0;
	reasons[n++] = decide(&grants[2], &clients[4], true).reason;
	clients[5].pidfd = -ENOPROTOOPT;
	reasons[n++] = decide(&grants[4], &clients[5], false).reason;

	ck_assert_uint_eq(n, 11);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(reasons[i], reasons[j]);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(row, ELEMENTSOF(rows)),
		UNIT_TEST(root_by_name),
		UNIT_TEST(an_empty_identity),
		UNIT_TEST(reasons_differ),
		{ 0 },
	};

	return unit_run("decide", tests, NULL);
}
