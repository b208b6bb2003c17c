/* SPDX-License-Identifier: MIT
 *
 * The pieces of a reply, each checked before it is believed.
 */
#pragma once

#include <stdbool.h>

#include "base/json.h"

/* A copy of the string at `key`; *ret becomes NULL where it is absent or null and `nullable`.
 * -EBADMSG: it is missing or no string. */
int reply_string(const json_t *object, const char *key, bool nullable, char **ret);

/* The integer at `key`. -EBADMSG: it is missing, no integer, or not from 0 to `max`. */
int reply_integer(const json_t *object, const char *key, json_int_t max, json_int_t *ret);

/* The boolean at `key`. -EBADMSG: it is missing or no boolean. */
int reply_boolean(const json_t *object, const char *key, bool *ret);

/* The array at `key`, borrowed; NULL where it is absent or null and `nullable`. -EBADMSG as above. */
int reply_array(const json_t *object, const char *key, bool nullable, const json_t **ret);
