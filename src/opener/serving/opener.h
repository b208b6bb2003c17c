/* SPDX-License-Identifier: MIT
 *
 * The opener at work: connections of porterd, and the loop around them.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "opener/policy/policy.h"
#include "record/record.h"

#define OPENER_USERS_MAX 2

struct opener_options {
	struct policy_source source; /* its strings stay the caller's and must outlive the opener */
	const char *const *sockets; /* where clients connect, ended by NULL; NULL: anywhere. As above */
	uid_t users[OPENER_USERS_MAX]; /* who may connect */
	size_t n_users;
	uint64_t exit_idle_usec; /* 0: never */
};

struct opener;

/* Reads the policy and gets ready, with signals taken (block SIGTERM, SIGINT and SIGHUP before). 0, or -errno with
 * *ret_step, a constant string: what failed, in words. */
int opener_new(struct opener **ret, struct recorder *recorder, const struct opener_options *options,
	       const char **ret_step);

/* Serves what connects to a listening seqpacket socket. */
int opener_add_listener(struct opener *opener, int fd /* consumes fd */);

/* Tells the service manager that it is ready, and serves until SIGTERM or idleness. 0 or -errno. */
int opener_run(struct opener *opener);

struct opener *opener_free(struct opener *opener);
DEFINE_CLEANUP(struct opener *, cleanup_opener, opener_free)
