/* SPDX-License-Identifier: MIT
 *
 * What the typed calls of libporter stand on: a connection, and one call on it.
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
