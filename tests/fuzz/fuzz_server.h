/* SPDX-License-Identifier: MIT
 *
 * One daemon for all inputs, whose loop runs when a fuzzer says so.
 */
#pragma once

#include "porterd/daemon.h"
#include "porterd/manager.h"
#include "serve/connection.h"
#include "services/protocols.h"

/* Starts it, once. It asks the opener at `opener_path`. */
void fuzz_server_open(const char *opener_path);

struct population *fuzz_server(void);

/* Gives it an end of a socketpair; returns the other one. */
int fuzz_server_connect(const struct protocol *protocol);

/* Lets it do everything that can be done now. */
void fuzz_server_run(void);

/* Nobody is connected, and no descriptor is promised to anybody. */
void fuzz_server_check_idle(void);

/* Receives all that is there: bytes, and how many fds with them, which are closed. True: the daemon closed it. */
bool fuzz_server_receive(int fd, char **data, size_t *size, size_t *n_fds);
