/* SPDX-License-Identifier: MIT
 *
 * porterctl as a client of the Varlink socket.
 */
#pragma once

#include "base/json.h"
#include "libporter/porter.h"
#include "porterctl/porterctl.h"

DEFINE_CLEANUP(struct porter *, cleanup_porter, porter_free)
#define _cleanup_porter_ _cleanup_(cleanup_porter)

/* Connects to the Varlink socket that the invocation is about. Returns EXIT_DONE, or has said why not. */
int client_connect(const struct invocation *invocation, struct porter **ret);

/* Calls `method` with one parameter `file` (NULL: none) and prints the reply's parameters. *ret (if not NULL)
 * is the reply, which the caller owns. Returns an exit status, as failure_call(). */
int client_call_json(const struct invocation *invocation, const char *method, const char *tried,
		     const char *file, json_t **ret);
