/* SPDX-License-Identifier: MIT
 *
 * porterd.conf: what an administrator may set of the daemon. Described in porterd.conf(5).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "limits/patience.h"
#include "limits/quota.h"

struct recorder;

#define CONFIG_CONNECTIONS_MAX 4096
#define CONFIG_DRAIN_SECONDS 5

struct config {
	uint64_t busy_poll_usec; /* how long to look for events before sleeping */
	size_t connections_max;
	struct quota_settings quota;
	struct patience_settings patience;
	uint64_t drain_usec; /* how long clients that do not read are waited for when porterd stops */
	size_t workers;	     /* 0: as many as fit the machine */
};

/* What it is where nothing is set. */
struct config config_default(void);

/* Sets it to the default, and reads porterd.conf and porterd.conf.d/ under `directory`, or, if that is NULL, under the system's directories.
 * What is wrong is told to the recorder, and the value stays as if it were not there. */
void config_read(struct config *config, const char *directory, struct recorder *recorder);

/* Makes limits of the whole daemon those of one of its workers: together they are as much as before. No share is
 * less than the setting may be at least. */
void config_share(struct config *config, size_t index, size_t count);
