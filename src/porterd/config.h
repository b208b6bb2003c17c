/* SPDX-License-Identifier: MIT
 *
 * porterd.conf: what an administrator may set of the daemon. Described in porterd.conf(5).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "porterd/patience.h"
#include "porterd/quota.h"

struct recorder;

struct config {
	uint64_t busy_poll_usec; /* how long to look for events before sleeping */
	size_t connections_max;
	struct quota_settings quota;
	struct patience_settings patience;
	size_t workers; /* 0: as many as fit the machine */
};

/* Reads porterd.conf and porterd.conf.d/ under `directory`, or, if that is NULL, under the system's directories.
 * What is wrong is told to the recorder, and the value stays as if it were not there. */
void config_read(struct config *config, const char *directory, struct recorder *recorder);
