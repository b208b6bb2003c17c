/* SPDX-License-Identifier: MIT
 *
 * io.porterd.Credentials: what the kernel says of the caller.
 */
#include "base/accounts.h"
#include "services/caller.h"
#include "services/protocols.h"

static const char description[] =
#include "services/io.porterd.Credentials.varlink.inc"
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

/* Names of one list. */
#define NAMES_MAX 64

static bool users_match(const struct identity *identity, const char *const *names, size_t count)
{
	uid_t uids[NAMES_MAX];

	accounts_find_users(names, count, uids);
	for (size_t i = 0; i < count; i++)
		if (uids[i] == identity->uid)
			return true;
	return false;
}

static bool groups_match(const struct identity *identity, const char *const *names, size_t count)
{
	gid_t gids[NAMES_MAX];

	accounts_find_groups(names, count, gids);
	for (size_t i = 0; i < count; i++)
		if (identity_in_group(identity, gids[i]))
			return true;
	return false;
}

static bool units_match(const struct identity *identity, const char *const *names, size_t count)
{
	for (size_t i = 0; identity->unit && i < count; i++)
		if (strcmp(identity->unit, names[i]) == 0)
			return true;
	return false;
}

/* The lists of Check, each with the part of the identity that it is about. */
static const struct check {
	const char *name;
	unsigned parts;
	bool (*match)(const struct identity *identity, const char *const *names, size_t count);
} checks[] = {
	{ "users", IDENTITY_CREDENTIALS, users_match },
	{ "groups", IDENTITY_CREDENTIALS | IDENTITY_GROUPS, groups_match },
	{ "units", IDENTITY_CREDENTIALS | IDENTITY_UNIT, units_match },
};

/* One name is enough. */
static bool list_matches(const struct check *check, const struct identity *identity, const json_t *list)
{
	const char *names[NAMES_MAX];
	size_t count = json_array_size(list);

	for (size_t i = 0; i < count; i++)
		names[i] = json_string_value(json_array_get(list, i));
	return check->match(identity, names, count);
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
