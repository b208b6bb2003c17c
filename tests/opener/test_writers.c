/* SPDX-License-Identifier: MIT
 *
 * A descriptor for reading is a way to write for everybody who could write by the inode: not only for who the client is,
 * but for whom it can become.
 */
#include <linux/capability.h>
#include <sys/stat.h>

#include "open_fixture.h"

#define ADM 4
#define TEAM 12350
#define SYSTEM 33

static const struct {
	uid_t uid;
	gid_t gid;
	mode_t mode;
	enum opener_result result; /* for STRANGER, who is in no other group */
} rows[] = {
	{ 0, 0, 0600, OPENER_OK },
	{ 0, 0, 0644, OPENER_OK },
	{ 0, ADM, 0640, OPENER_OK },
	{ 0, TEAM, 0640, OPENER_OK },
	{ 0, TEAM, 0744, OPENER_OK },
	{ 0, STRANGER, 0640, OPENER_OK },
	{ 0, 65534, 0640, OPENER_OK },
	/* A group can be left, and come back. */
	{ 0, 0, 0660, OPENER_OK },
	{ 0, ADM, 0660, OPENER_UNSAFE_MODE },
	{ 0, TEAM, 0660, OPENER_UNSAFE_MODE },
	{ 0, TEAM, 0620, OPENER_UNSAFE_MODE },
	{ 0, TEAM, 0664, OPENER_UNSAFE_MODE },
	{ 0, STRANGER, 0660, OPENER_UNSAFE_MODE },
	{ 0, 65534, 0660, OPENER_UNSAFE_MODE },
	{ 0, 100000, 0660, OPENER_UNSAFE_MODE },
	{ 0, 0, 0602, OPENER_UNSAFE_MODE },
	{ 0, TEAM, 0666, OPENER_UNSAFE_MODE },
	/* A system user is no one's to become. */
	{ 1, 1, 0600, OPENER_OK },
	{ SYSTEM, SYSTEM, 0640, OPENER_OK },
	{ SYSTEM, SYSTEM, 0660, OPENER_UNSAFE_MODE },
	{ 999, 999, 0400, OPENER_OK },
	{ 1000, 1000, 0400, OPENER_UNSAFE_MODE },
	{ STRANGER, 0, 0400, OPENER_UNSAFE_MODE },
	{ STRANGER + 1, 0, 0400, OPENER_UNSAFE_MODE },
	{ 61184, 0, 0400, OPENER_UNSAFE_MODE }, /* of DynamicUser= */
	{ 65534, 0, 0400, OPENER_UNSAFE_MODE },
	{ 100000, 100000, 0400, OPENER_UNSAFE_MODE }, /* of a range as in /etc/subuid */
	{ 524288, 0, 0400, OPENER_UNSAFE_MODE },
};

static struct grant grant_of_file(uid_t uid, gid_t gid, mode_t mode)
{
	fixture_write("closed/file", "content", 0600);
	ck_assert_int_eq(chown(fixture_path("closed/file"), uid, gid), 0);
	ck_assert_int_eq(chmod(fixture_path("closed/file"), mode), 0);
	ck_assert_int_eq(chmod(fixture_path("closed"), 0700), 0);
	return grant_for("closed/file", GRANT_READ);
}

START_TEST(whose_mode_it_may_be)
{
	struct grant grant = grant_of_file(rows[_i].uid, rows[_i].gid, rows[_i].mode);

	ck_assert_msg(open_for(&grant, STRANGER) == rows[_i].result, "row %d: %s", _i, opened.reason);
	ck_assert_int_eq(opened.result == OPENER_UNSAFE_MODE, strstr(opened.reason, "Deliver=copy") != NULL);
	grant.copy = true;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
	grant.copy = false;
	grant.access = GRANT_READ_WRITE;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_OK);
}
END_TEST

/* A directory that is not guarded makes no difference. */
START_TEST(whose_mode_it_may_be_elsewhere)
{
	struct grant grant = grant_of_file(rows[_i].uid, rows[_i].gid, rows[_i].mode);
	uid_t owner = rows[_i].uid;

	ck_assert_int_eq(chmod(fixture_path("closed"), 0777), 0);
	grant.owners = &owner;
	grant.n_owners = 1;
	ck_assert_msg(open_for(&grant, STRANGER) == rows[_i].result, "row %d: %s", _i, opened.reason);
}
END_TEST

static enum opener_result open_with(const struct grant *grant, uint64_t capabilities, bool known)
{
	struct identity client = fixture_client(STRANGER, STRANGER);

	client.capabilities = capabilities;
	if (!known)
		client.known &= ~(unsigned)IDENTITY_CAPABILITIES;
	opened_clear(&opened);
	places_clear(&places);
	return open_grant(grant, &client, &places, &opened);
}

/* What is not known to be harmless is not, as are those that later kernels will have. */
START_TEST(capabilities_past_the_mode)
{
	static const int harmless[] = { CAP_DAC_READ_SEARCH, CAP_FSETID, CAP_KILL, CAP_NET_BIND_SERVICE,
		CAP_NET_BROADCAST, CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_IPC_OWNER, CAP_SYS_PACCT,
		CAP_SYS_NICE, CAP_SYS_RESOURCE, CAP_SYS_TIME, CAP_LEASE, CAP_AUDIT_WRITE, CAP_SYSLOG,
		CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND, CAP_AUDIT_READ };
	struct grant grant = grant_of_file(0, 0, 0600);
	uint64_t all = 0;

	for (size_t i = 0; i < ELEMENTSOF(harmless); i++)
		all |= UINT64_C(1) << harmless[i];
	ck_assert_int_eq(open_with(&grant, all, true), OPENER_OK);
	for (int number = 0; number < 64; number++) {
		uint64_t one = UINT64_C(1) << number;

		ck_assert_msg(open_with(&grant, one, true) == (one & all ? OPENER_OK : OPENER_UNSAFE_MODE), "%d: %s",
			      number, opened.reason);
	}
	ck_assert_int_eq(open_with(&grant, 0, false), OPENER_UNSAFE_MODE);
	grant.access = GRANT_READ_WRITE;
	ck_assert_int_eq(open_with(&grant, ~UINT64_C(0), true), OPENER_OK);
}
END_TEST

/* Its capabilities and what it could become are not looked at: nearly no file would be left. */
START_TEST(root_is_an_exception)
{
	struct grant grant = grant_of_file(STRANGER, TEAM, 0660);
	struct identity client = fixture_client(0, 0);

	/* No path is an excuse here. */
	ck_assert_int_eq(chown(fixture_path("closed"), STRANGER, STRANGER), 0);
	client.capabilities = ~UINT64_C(0);
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_OK);
}
END_TEST

START_TEST(a_member_of_roots_group)
{
	struct grant grant = grant_of_file(0, 0, 0660);
	struct identity client = fixture_client(STRANGER, 0);

	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_UNSAFE_MODE);
	client = fixture_client(STRANGER, STRANGER);
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_OK);
	opened_clear(&opened);
	client.has_groups = false;
	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_UNSAFE_MODE);
}
END_TEST

START_TEST(a_system_user_of_its_own)
{
	struct grant grant = grant_of_file(SYSTEM, SYSTEM, 0400);
	struct identity client = fixture_client(SYSTEM, SYSTEM);

	ck_assert_int_eq(open_grant(&grant, &client, &places, &opened), OPENER_UNSAFE_MODE);
}
END_TEST

START_TEST(a_device_has_no_copy)
{
	struct grant grant = grant_for("/dev/null", GRANT_READ);

	grant.type = GRANT_DEVICE;
	ck_assert_int_eq(open_for(&grant, STRANGER), OPENER_UNSAFE_MODE);
	ck_assert_ptr_nonnull(strstr(opened.reason, "Access=read-write"));
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(whose_mode_it_may_be, ELEMENTSOF(rows)),
		UNIT_LOOP(whose_mode_it_may_be_elsewhere, ELEMENTSOF(rows)),
		UNIT_TEST(capabilities_past_the_mode),
		UNIT_TEST(root_is_an_exception),
		UNIT_TEST(a_member_of_roots_group),
		UNIT_TEST(a_system_user_of_its_own),
		UNIT_TEST(a_device_has_no_copy),
		{ 0 },
	};

	fixture_need_openat2();
	if (getuid() != 0)
		unit_skip_all("only root can be several users");
	return unit_run("writers", tests, &(struct unit_around){ open_setup, open_teardown, 0 });
}
