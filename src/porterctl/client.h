/* SPDX-License-Identifier: MIT
 *
 * porterctl as a client of the Varlink socket, and JSON on stdout.
 */
#pragma once

#include "base/json.h"
#include "libporter/porter.h"
#include "porterctl/porterctl.h"

DEFINE_CLEANUP(struct porter *, cleanup_porter, porter_free)
#define _cleanup_porter_ _cleanup_(cleanup_porter)

/* The Varlink socket that this invocation is about. */
const char *client_socket(const struct invocation *invocation);

/* Connects to it. Returns EXIT_DONE, or has said why not. */
int client_connect(const struct invocation *invocation, struct porter **ret);

/* Calls `method` with one parameter `file` (NULL: none) and prints the reply's parameters. *ret (if not NULL)
 * is the reply, which the caller owns. Returns an exit status, as failure_call(). */
int client_call_json(const struct invocation *invocation, const char *method, const char *tried,
		     const char *file, json_t **ret);

/* Prints JSON: indented and in ASCII to a terminal, otherwise as one line. */
void client_print_json(const json_t *value);

/* Prints the error of the last call as JSON. */
void client_print_error(const struct porter *porter);
