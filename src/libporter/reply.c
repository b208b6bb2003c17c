/* SPDX-License-Identifier: MIT
 *
 * The pieces of a reply. Keys that nobody knows are left alone, so that a newer service may say more.
 */
#include "libporter/reply.h"

int reply_string(const json_t *object, const char *key, bool nullable, char **ret)
{
	const json_t *value = json_object_get(object, key);
	char *copy;

	if (nullable && (!value || json_is_null(value))) {
		*ret = NULL;
		return 0;
	}
	if (!json_is_string(value))
		return -EBADMSG;

	copy = strdup(json_string_value(value));
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

int reply_integer(const json_t *object, const char *key, json_int_t max, json_int_t *ret)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || number > max)
		return -EBADMSG;
	*ret = number;
	return 0;
}

int reply_boolean(const json_t *object, const char *key, bool *ret)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_boolean(value))
		return -EBADMSG;
	*ret = json_is_true(value);
	return 0;
}

int reply_array(const json_t *object, const char *key, bool nullable, const json_t **ret)
{
	const json_t *value = json_object_get(object, key);

	if (nullable && (!value || json_is_null(value))) {
		*ret = NULL;
		return 0;
	}
	if (!json_is_array(value))
		return -EBADMSG;
	*ret = value;
	return 0;
}
