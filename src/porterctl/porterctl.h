/* SPDX-License-Identifier: MIT
 *
 * What the verbs of porterctl share: how they were called, and how they end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libporter/porter.h"

/* Exit statuses, as the manual promises them. */
enum {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,     /* refused, not satisfied, or it failed on the way */
	EXIT_WRONG_USAGE = 2,
	EXIT_UNREACHABLE = 3, /* the service, or systemd, can't be reached */
	EXIT_CANNOT_RUN = 126,
	EXIT_NO_COMMAND = 127,
};

/* Options that only bench has; NULL where they were not given. */
struct bench_invocation {
	const char *pattern, *duration, *plot, *porterd, *opener;
};

struct invocation {
	bool json;
	const char *socket; /* --socket=; NULL: the verb's own */
	char **words;	    /* what follows the verb */
	size_t n_words;
	struct bench_invocation bench;
	char **command; /* what follows `--`, for verbs that take a command; ends with NULL. NULL: no `--` */
};

/* The Varlink socket that it is about. */
static inline const char *invocation_socket(const struct invocation *invocation)
{
	return invocation->socket ? invocation->socket : PORTER_SOCKET;
}

/* Each returns an exit status, and has said on stderr why it is not EXIT_DONE. */
int verb_bench(const struct invocation *invocation);
int verb_cat(const struct invocation *invocation);
int verb_check(const struct invocation *invocation);
int verb_echo(const struct invocation *invocation);
int verb_exec(const struct invocation *invocation);
int verb_list(const struct invocation *invocation);
int verb_status(const struct invocation *invocation);
int verb_whoami(const struct invocation *invocation);
