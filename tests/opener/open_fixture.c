/* SPDX-License-Identifier: MIT
 *
 * Grants and what opening by them gives.
 */
#include "open_fixture.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/xattr.h>

struct opened opened;
struct places places;
static struct known_mount mount;

void open_setup(void)
{
	fixture_setup();
	opened_init(&opened);
	places_init(&places, &mount);
}

void open_teardown(void)
{
	opened_clear(&opened);
	places_clear(&places);
	fixture_teardown();
}

struct grant grant_for(const char *name, enum grant_access access)
{
	return (struct grant){
		.name = "file",
		.path = (char *)(uintptr_t)(name[0] == '/' ? name : fixture_path(name)),
		.access = access,
		.mode = 0600,
	};
}

enum opener_result open_for(const struct grant *grant, uid_t uid)
{
	struct identity client = fixture_client(uid, uid);
	struct opened checked;
	enum opener_result result;

	/* The dry run says the same, opens nothing and makes nothing. */
	places_clear(&places);
	open_check(grant, &client, &places, &checked);
	ck_assert_int_lt(checked.fd, 0);

	places_clear(&places);
	opened_clear(&opened);
	result = open_grant(grant, &client, &places, &opened);
	ck_assert_int_eq(result, opened.result);
	ck_assert_int_eq(result == OPENER_OK, opened.fd >= 0);
	ck_assert_int_eq(result == OPENER_OK, opened.reason[0] == '\0');
	if (grant->type == GRANT_REGULAR && !grant->copy)
		ck_assert_int_eq(checked.result, result);
	return result;
}

enum opener_result refused(const char *name, enum grant_access access, enum grant_type type)
{
	struct grant grant = grant_for(name, access);

	grant.type = type;
	return open_for(&grant, STRANGER);
}

void ck_flags(int access, int append)
{
	int flags = fcntl(opened.fd, F_GETFL);

	ck_assert_int_eq(flags & O_ACCMODE, access);
	ck_assert_int_eq(flags & O_APPEND, append);
	ck_assert_int_eq(flags & (O_NONBLOCK | O_PATH), 0);
	ck_assert_int_eq(fcntl(opened.fd, F_GETFD), FD_CLOEXEC);
}

int set_acl_of(const char *path, const char *name, uint16_t permissions)
{
	/* As the kernel keeps it. */
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

int set_acl(const char *path, uint16_t permissions)
{
	return set_acl_of(path, "system.posix_acl_access", permissions);
}
