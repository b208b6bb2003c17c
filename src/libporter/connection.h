/* SPDX-License-Identifier: MIT
 *
 * What the typed calls of libporter stand on: a connection, one call on it, and the pieces of a reply.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "kernel/fdset.h"
#include "libporter/porter.h"

struct porter {
	int fd; /* negative once the stream is out of step */
	char *error_name;
	char *error_reason;
	char *error_file;
	char *error_parameters;
};

/* Begins what the caller asks for: the error of the call before is forgotten. False for NULL. */
bool connection_begin(struct porter *porter);

/* Calls `method` and waits for its reply: *ret is the reply's parameters, an object that the caller owns, and
 * `fds`, an empty set, holds what came along. An error reply is remembered and returned as its errno value.
 * A caller that finds the parameters wanting says so by connection_break(). */
int connection_call(struct porter *porter, const char *method, json_t *parameters /* consumes reference */,
		    json_t **ret, struct fdset *fds);

/* As connection_call(), for methods that never bring fds: some in the reply break the connection. */
int connection_call_plain(struct porter *porter, const char *method,
			  json_t *parameters /* consumes reference */, json_t **ret);

/* The peer does not keep to its interface: closes the connection. Returns -EBADMSG. */
int connection_break(struct porter *porter);

/* The errno value, negative, for an error of the service. */
int error_to_errno(const char *name);

/* A copy of the string at `key`; *ret becomes NULL where it is absent or null and `nullable`.
 * -EBADMSG: it is missing or no string. */
int reply_string(const json_t *object, const char *key, bool nullable, char **ret);

/* The integer at `key`. -EBADMSG: it is missing, no integer, or not from 0 to `max`. */
int reply_integer(const json_t *object, const char *key, json_int_t max, json_int_t *ret);

/* The boolean at `key`. -EBADMSG: it is missing or no boolean. */
int reply_boolean(const json_t *object, const char *key, bool *ret);

/* The array at `key`, borrowed; NULL where it is absent or null and `nullable`. -EBADMSG as above. */
int reply_array(const json_t *object, const char *key, bool nullable, const json_t **ret);
