/* SPDX-License-Identifier: MIT
 *
 * The decision: does this grant permit this client?
 */
#include "opener/deciding/decide.h"

#include "base/macro.h"

#define REFUSE(why) ((struct decision){ .permitted = false, .reason = (why) })

static bool has_user(const struct grant *grant, uid_t uid)
{
	for (size_t i = 0; i < grant->n_users; i++)
		if (grant->users[i] == uid)
			return true;
	return false;
}

static bool has_group(const struct grant *grant, const struct identity *client)
{
	for (size_t i = 0; i < grant->n_groups; i++)
		if (identity_in_group(client, grant->groups[i]))
			return true;
	return false;
}

static bool has_unit(const struct grant *grant, const char *unit)
{
	for (size_t i = 0; i < grant->n_units; i++)
		if (strcmp(grant->units[i], unit) == 0)
			return true;
	return false;
}

/* Why nobody could be granted anything over this connection, NULL if somebody could. */
static const char *unattested(const struct identity *client, bool alive)
{
	if (!(client->known & IDENTITY_CREDENTIALS) || client->uid == (uid_t)-1)
		return "the kernel says nothing of who connected";
	if (client->uid == IDENTITY_UID_NOBODY)
		return "uid 65534 is nobody's own, but what users of another user namespace read as";
	if (client->pid <= 0)
		return "the client's process is not visible here (pid 0, another PID namespace)";

	/* Before Linux 6.5 there is no pidfd to ask. */
	if (client->pidfd != -ENOPROTOOPT && !alive)
		return "the process that connected has exited";
	return NULL;
}

struct decision decide(const struct grant *grant, const struct identity *client, bool alive)
{
	/* By the kinds of Allow that are there: 1 users, 2 groups, 4 units. */
	static const char *const because[8] = {
		NULL,
		"AllowUser= names the client",
		"AllowGroup= names the client",
		"AllowUser= and AllowGroup= name the client",
		"AllowUnit= names the client",
		"AllowUser= and AllowUnit= name the client",
		"AllowGroup= and AllowUnit= name the client",
		"AllowUser=, AllowGroup= and AllowUnit= name the client",
	};
	const char *reason;
	unsigned kinds;

	if (grant->broken)
		return REFUSE("the policy has an error here, which the opener's log tells");

	reason = unattested(client, alive);
	if (reason)
		return REFUSE(reason);

	kinds = (grant->n_users > 0 ? 1U : 0) | (grant->n_groups > 0 ? 2U : 0) | (grant->n_units > 0 ? 4U : 0);
	if (kinds == 0)
		return REFUSE("nobody is allowed");
	if (grant->n_users > 0 && !has_user(grant, client->uid))
		return REFUSE("the client's user is not in AllowUser=");
	if (grant->n_groups > 0 && !has_group(grant, client))
		return REFUSE("none of the client's groups is in AllowGroup=");
	if (grant->n_units > 0 && client->pidfd == -ENOPROTOOPT)
		return REFUSE("AllowUnit= needs Linux 6.5, which tells for sure whose process it is");
	if (grant->n_units > 0 && !client->unit)
		return REFUSE("the client runs in no system unit");
	if (grant->n_units > 0 && !has_unit(grant, client->unit))
		return REFUSE("the client's unit is not in AllowUnit=");

	return (struct decision){ .permitted = true, .reason = because[kinds] };
}
