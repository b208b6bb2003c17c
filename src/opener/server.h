/* SPDX-License-Identifier: MIT
 *
 * The opener at work: connections of porterd, and the loop around them.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "opener/policy.h"
#include "record/record.h"

/* porterd has one connection, and each of its per-client instances one: systemd starts up to 4,096 of those. */
#define SERVER_CONNECTIONS_MAX 4200
#define SERVER_LISTENERS_MAX 8
#define SERVER_USERS_MAX 2

struct server_options {
	struct policy_source source; /* its strings stay the caller's and must outlive the server */
	const char *const *sockets; /* where clients connect, ended by NULL; NULL: anywhere. As above */
	uid_t users[SERVER_USERS_MAX]; /* who may connect */
	size_t n_users;
	uint64_t exit_idle_usec; /* 0: never */
};

struct server;

/* Reads the policy and gets ready, with signals taken (block SIGTERM, SIGINT and SIGHUP before). */
int server_new(struct server **ret, struct recorder *recorder, const struct server_options *options);

/* Serves what connects to a listening seqpacket socket. */
int server_add_listener(struct server *server, int fd /* consumes fd */);

/* Tells the service manager that it is ready, and serves until SIGTERM or idleness. 0 or -errno. */
int server_run(struct server *server);

struct server *server_free(struct server *server);
DEFINE_CLEANUP(struct server *, cleanup_server, server_free)
