/* SPDX-License-Identifier: MIT
 *
 * io.porterd.Credentials: what the kernel says of the caller.
 */
#include "base/accounts.h"
#include "porterd/caller.h"
#include "porterd/services.h"

static const char description[] =
#include "porterd/io.porterd.Credentials.varlink.inc"
	;

static json_t *groups_to_json(const struct identity *identity)
{
	json_t *groups;

	if (!identity->has_groups)
		return json_null();

	groups = json_array();
	for (size_t i = 0; i < identity->n_groups; i++)
		(void)json_array_append_new(groups, json_integer((json_int_t)identity->groups[i]));
	return groups;
}

static int run_get(struct varlink_call *call)
{
	struct caller *caller = call->caller;
	const struct identity *identity = &caller->identity;
	int r = caller_identify(caller, IDENTITY_ALL);

	if (r < 0)
		return r;

	/* What a connection tells of its client was read once, and is not read again. */
	call->steady = caller->socket_fd >= 0;
	return varlink_reply(call,
			     json_pack("{s:{s:I,s:I,s:o,s:I,s:s?,s:s?,s:s?}}", "credentials",
				       "uid", (json_int_t)identity->uid,
				       "gid", (json_int_t)identity->gid,
				       "groups", groups_to_json(identity),
				       "pid", (json_int_t)identity->pid,
				       "unit", identity->unit,
				       "invocationId", identity->invocation_id,
				       "securityLabel", identity->label));
}

static bool user_matches(const struct identity *identity, const char *name)
{
	uid_t uid;

	return accounts_find_user(name, &uid) >= 0 && uid == identity->uid;
}

static bool group_matches(const struct identity *identity, const char *name)
{
	gid_t gid;

	return accounts_find_group(name, &gid) >= 0 && identity_in_group(identity, gid);
}

static bool unit_matches(const struct identity *identity, const char *name)
{
	return identity->unit && strcmp(identity->unit, name) == 0;
}

/* Names of one list: each is searched for in a file. */
#define NAMES_MAX 64

/* The lists of Check, each with the part of the identity that it is about. */
static const struct check {
	const char *name;
	unsigned parts;
	bool (*matches)(const struct identity *identity, const char *name);
} checks[] = {
	{ "users", IDENTITY_CREDENTIALS, user_matches },
	{ "groups", IDENTITY_CREDENTIALS | IDENTITY_GROUPS, group_matches },
	{ "units", IDENTITY_CREDENTIALS | IDENTITY_UNIT, unit_matches },
};

static bool list_matches(const struct check *check, const struct identity *identity, const json_t *list)
{
	size_t i;
	json_t *name;

	json_array_foreach(list, i, name)
		if (check->matches(identity, json_string_value(name)))
			return true;
	return false;
}

static int run_check(struct varlink_call *call)
{
	struct caller *caller = call->caller;
	_cleanup_json_ json_t *failed = json_array();
	bool satisfied;
	int r = caller_identify(caller, IDENTITY_CREDENTIALS);

	if (r < 0)
		return r;
	satisfied = identity_is_attested(&caller->identity);

	for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
		const json_t *list = varlink_call_parameter(call, checks[i].name);

		if (!list)
			continue;
		if (json_array_size(list) > NAMES_MAX)
			return varlink_reply_invalid_parameter(call, checks[i].name);
		r = caller_identify(caller, checks[i].parts);
		if (r < 0)
			return r;
		if (identity_is_attested(&caller->identity) &&
		    list_matches(&checks[i], &caller->identity, list))
			continue;
		satisfied = false;
		(void)json_array_append_new(failed, json_string(checks[i].name));
	}

	return varlink_reply(call, json_pack("{s:b,s:O}", "satisfied", satisfied, "failed", failed));
}

const struct varlink_interface credentials_interface = {
	.name = "io.porterd.Credentials",
	.description = description,
	.methods =
		(const struct varlink_method[]){
			{ "Get", NULL, run_get },
			{ "Check",
			  (const struct varlink_parameter[]){
				  { "users", VARLINK_STRINGS, true },
				  { "groups", VARLINK_STRINGS, true },
				  { "units", VARLINK_STRINGS, true },
				  { 0 },
			  },
			  run_check },
			{ 0 },
		},
};

static const struct varlink_interface *const packet_interfaces[] = { &credentials_interface, NULL };

const struct varlink_service porterd_packet_service = { .interfaces = packet_interfaces };
