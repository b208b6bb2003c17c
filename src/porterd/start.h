/* SPDX-License-Identifier: MIT
 *
 * From the sockets that were handed over to a daemon that serves them.
 */
#pragma once

#include "porterd/activation.h"
#include "porterd/daemon.h"

struct start {
	const char *config_dir; /* NULL: the system's */
	struct daemon_options daemon;
	struct activation activation;
	struct recorder *recorder;
	size_t n_workers; /* as porterd was started; 0: it is for one client alone */
};

/* Reads porterd.conf, and returns how many workers it asks for. */
size_t start_read_config(const struct start *start, struct config *config);

/* Reads it again, for a daemon that is to go on, and says so. */
void start_renew_config(const struct start *start, struct config *config);

/* Serves in this process, for that master. Returns the exit status. */
int start_daemon(struct start *start, struct master *master);

/* Records why nothing is served. Returns the exit status. */
int start_failed(const struct start *start, const char *what, int error);
