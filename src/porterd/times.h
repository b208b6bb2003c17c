/* SPDX-License-Identifier: MIT
 *
 * All times of a daemon's end, computed in one place from the one that is set (DrainTimeoutSec=).
 */
#pragma once

#include <stdint.h>

#include "porterd/config.h"

struct times {
	uint64_t drain_usec;  /* how long clients that do not read their answers are waited for */
	uint64_t finish_usec; /* before a restart: how long what was begun may take */
	/* How long a supervisor waits for workers that stop, and that hand over. */
	uint64_t stop_usec, hand_over_usec;
	uint64_t whole_usec; /* from the signal to the end, in either way */
};

struct times times_of(const struct config *config);
