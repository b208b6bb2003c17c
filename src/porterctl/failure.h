/* SPDX-License-Identifier: MIT
 *
 * What went wrong, in words: what was tried, on which socket, and what to do about it.
 */
#pragma once

#include "base/macro.h"
#include "libporter/porter.h"
#include "porterctl/porterctl.h"

/* Prints `porterctl: ` and the message. Whatever comes from elsewhere is escaped as a whole. */
void failure_say(const char *format, ...) _printf_(1, 2);

/* As above, followed by where to find help. Returns EXIT_WRONG_USAGE. */
int failure_usage(const char *format, ...) _printf_(1, 2);

/* No connection to `socket`, which `unit` listens on if it is the usual one (otherwise NULL), because of the
 * errno value `error`. Returns EXIT_UNREACHABLE. */
int failure_connect(const char *socket, const char *unit, int error);

/* A call returned the negative errno value `error`. `tried` completes "can't", `file` is what it was about
 * (NULL: nothing). With --json, the service's error is printed to stdout as well. Returns the exit status. */
int failure_call(const struct invocation *invocation, const struct porter *porter, const char *tried,
		 const char *file, int error);
