/* SPDX-License-Identifier: MIT
 *
 * Who could write to a file by its inode alone.
 *
 * What a process may do when it connects is not what the descriptor's holder may do: whoever has a group can leave it
 * in a user namespace that maps it (newgidmap), connect, and pass the descriptor on to a process that is still in it;
 * and can be each user of a range that is theirs (/etc/subuid). So all that one may become counts, and that can't be
 * asked for: it stands in files and directory servers that differ from host to host. What counts instead are kinds of
 * users and groups.
 */
#include "opener/opening/writers.h"

#include <linux/capability.h>
#include <stdint.h>

#include "kernel/pin.h"

/* As systemd and shadow have it unless built otherwise. Accounts of programs; ranges for users to be begin far above. */
#define SYSTEM_UID_MAX 999

#define CAPABILITY(number) (UINT64_C(1) << (number))

/* By these nobody comes to write to a file that the mode keeps from them. Of the others one passes over the mode, by the
 * next the mode or the owner is changed, and most make their process whom it likes. */
static const uint64_t harmless =
	CAPABILITY(CAP_DAC_READ_SEARCH) | CAPABILITY(CAP_FSETID) | CAPABILITY(CAP_KILL) |
	CAPABILITY(CAP_NET_BIND_SERVICE) | CAPABILITY(CAP_NET_BROADCAST) | CAPABILITY(CAP_NET_ADMIN) |
	CAPABILITY(CAP_NET_RAW) | CAPABILITY(CAP_IPC_LOCK) | CAPABILITY(CAP_IPC_OWNER) | CAPABILITY(CAP_SYS_PACCT) |
	CAPABILITY(CAP_SYS_NICE) | CAPABILITY(CAP_SYS_RESOURCE) | CAPABILITY(CAP_SYS_TIME) | CAPABILITY(CAP_LEASE) |
	CAPABILITY(CAP_AUDIT_WRITE) | CAPABILITY(CAP_SYSLOG) | CAPABILITY(CAP_WAKE_ALARM) |
	CAPABILITY(CAP_BLOCK_SUSPEND) | CAPABILITY(CAP_AUDIT_READ);

/* Root has nothing to become, and its capabilities stop at nothing: it has the old rule, and an excuse. */
static bool is_root(const struct identity *client)
{
	return client->uid == 0;
}

/* The owner can chmod() through any fd. */
static const char *find_owner(const struct identity *client, uid_t owner)
{
	if (owner == client->uid)
		return "the client owns it";
	if (!is_root(client) && owner > SYSTEM_UID_MAX)
		return "its owner is neither root nor a system user, but one that others may become";
	return NULL;
}

/* Root's group is nobody's but root's, and its members have no need of this. */
static bool has_group(const struct identity *client, gid_t group)
{
	if (!is_root(client) && group != 0)
		return true;
	return !client->has_groups || group == IDENTITY_GID_NOBODY || identity_in_group(client, group);
}

static const char *find_mode(const struct identity *client, int pin, const struct place *place,
			     const struct stat *status)
{
	mode_t writable = status->st_mode & 022;
	int acl;

	/* A list can't give more than these bits, its mask. Elsewhere there may be lists of another kind. */
	if (place && !writable)
		return NULL;
	acl = pin_has_acl(pin);
	if (acl == PIN_ACL_POSIX)
		return writable ? "its access control list may let somebody write" : NULL;
	if (acl != PIN_ACL_NONE)
		return "it has an access control list that only its file server can read";
	/* A member of the group whom it alone keeps out can leave it, or pass the fd on. */
	if (writable & 002)
		return "its mode lets everybody write";
	return writable && has_group(client, status->st_gid) ? "its mode lets its group write" : NULL;
}

/* In a user namespace capabilities reach few files, but those are a matter of its maps. */
static const char *find_capabilities(const struct identity *client)
{
	if (is_root(client))
		return NULL;
	if (!(client->known & IDENTITY_CAPABILITIES))
		return "the client's process can't be asked for its capabilities";
	return client->capabilities & ~harmless ? "the client's process has capabilities that stop at no mode" : NULL;
}

const char *writers_include(const struct identity *client, int pin, const struct place *place,
			    const struct stat *status)
{
	const char *why = find_owner(client, status->st_uid);

	if (!why)
		why = find_capabilities(client);
	return why ? why : find_mode(client, pin, place, status);
}
