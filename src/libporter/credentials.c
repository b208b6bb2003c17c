/* SPDX-License-Identifier: MIT
 *
 * io.porterd.Credentials: what the kernel says of the caller.
 */
#include <limits.h>
#include <stdint.h>

#include "libporter/connection.h"
#include "libporter/reply.h"

void porter_credentials_free(struct porter_credentials *credentials)
{
	if (!credentials)
		return;

	free(credentials->groups);
	free(credentials->unit);
	free(credentials->invocation_id);
	free(credentials->security_label);
	free(credentials);
}

void porter_strings_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

DEFINE_CLEANUP(struct porter_credentials *, cleanup_porter_credentials, porter_credentials_free)
DEFINE_CLEANUP(char **, cleanup_strings, porter_strings_free)

static int credentials_parse_groups(const json_t *object, struct porter_credentials *credentials)
{
	const json_t *array;
	int r;

	r = reply_array(object, "groups", true, &array);
	if (r < 0)
		return r;

	credentials->has_groups = array;
	if (json_array_size(array) == 0)
		return 0;

	credentials->groups = calloc(json_array_size(array), sizeof(gid_t));
	if (!credentials->groups)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *group = json_array_get(array, i);
		json_int_t number = json_integer_value(group);

		if (!json_is_integer(group) || number < 0 || number > UINT32_MAX)
			return -EBADMSG;
		credentials->groups[credentials->n_groups++] = (gid_t)number;
	}
	return 0;
}

static int credentials_parse(const json_t *object, struct porter_credentials **ret)
{
	_cleanup_(cleanup_porter_credentials) struct porter_credentials *credentials = NULL;
	json_int_t uid = 0, gid = 0, pid = 0;
	int r;

	credentials = calloc(1, sizeof(*credentials));
	if (!credentials)
		return -ENOMEM;

	r = reply_integer(object, "uid", UINT32_MAX, &uid);
	if (r == 0)
		r = reply_integer(object, "gid", UINT32_MAX, &gid);
	if (r == 0)
		r = reply_integer(object, "pid", INT_MAX, &pid);
	if (r == 0)
		r = credentials_parse_groups(object, credentials);
	if (r == 0)
		r = reply_string(object, "unit", true, &credentials->unit);
	if (r == 0)
		r = reply_string(object, "invocationId", true, &credentials->invocation_id);
	if (r == 0)
		r = reply_string(object, "securityLabel", true, &credentials->security_label);
	if (r < 0)
		return r;

	credentials->uid = (uid_t)uid;
	credentials->gid = (gid_t)gid;
	credentials->pid = (pid_t)pid;
	*ret = TAKE_POINTER(credentials);
	return 0;
}

int porter_whoami(struct porter *porter, struct porter_credentials **ret)
{
	_cleanup_json_ json_t *reply = NULL;
	int r;

	if (!connection_begin(porter) || !ret)
		return -EINVAL;

	r = connection_call_plain(porter, "io.porterd.Credentials.Get", json_object(), &reply);
	if (r < 0)
		return r;

	r = credentials_parse(json_object_get(reply, "credentials"), ret);
	return r == -EBADMSG ? connection_break(porter) : r;
}

/* Adds a list of names that may be NULL: then the service isn't asked about it. */
static int add_names(json_t *parameters, const char *key, const char *const *names)
{
	json_t *array;

	if (!names)
		return 0;

	array = json_array();
	if (!array)
		return -ENOMEM;
	if (json_object_set_new(parameters, key, array) < 0)
		return -ENOMEM;
	for (size_t i = 0; names[i]; i++)
		/* Fails where a name is not UTF-8. */
		if (json_array_append_new(array, json_string(names[i])) < 0)
			return -EINVAL;
	return 0;
}

static int strings_parse(const json_t *array, char ***ret)
{
	_cleanup_(cleanup_strings) char **strings = calloc(json_array_size(array) + 1, sizeof(*strings));

	if (!strings)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *string = json_string_value(json_array_get(array, i));

		if (!string)
			return -EBADMSG;
		strings[i] = strdup(string);
		if (!strings[i])
			return -ENOMEM;
	}

	*ret = TAKE_POINTER(strings);
	return 0;
}

int porter_check_credentials(struct porter *porter, const char *const *users, const char *const *groups,
			     const char *const *units, bool *ret_satisfied, char ***ret_failed)
{
	_cleanup_(cleanup_strings) char **failed = NULL;
	_cleanup_json_ json_t *parameters = json_object(), *reply = NULL;
	const json_t *array;
	bool satisfied;
	int r;

	if (!connection_begin(porter) || !ret_satisfied)
		return -EINVAL;
	if (!parameters)
		return -ENOMEM;

	r = add_names(parameters, "users", users);
	if (r == 0)
		r = add_names(parameters, "groups", groups);
	if (r == 0)
		r = add_names(parameters, "units", units);
	if (r < 0)
		return r;

	r = connection_call_plain(porter, "io.porterd.Credentials.Check", TAKE_POINTER(parameters), &reply);
	if (r < 0)
		return r;

	r = reply_boolean(reply, "satisfied", &satisfied);
	if (r == 0)
		r = reply_array(reply, "failed", false, &array);
	if (r == 0)
		r = strings_parse(array, &failed);
	if (r < 0)
		return r == -EBADMSG ? connection_break(porter) : r;

	*ret_satisfied = satisfied;
	if (ret_failed)
		*ret_failed = TAKE_POINTER(failed);
	return 0;
}
