/* SPDX-License-Identifier: MIT
 *
 * All times of a daemon's end.
 */
#include "porterd/times.h"

#include "base/clock.h"
#include "handover/handover.h"
#include "handover/restart.h"

/* What a worker needs besides waiting for its clients. */
#define SLACK_USEC (2 * USEC_PER_SEC)

struct times times_of(const struct config *config)
{
	struct times times = {
		.drain_usec = config->drain_usec,
		.finish_usec = HANDOVER_FINISH_SECONDS * USEC_PER_SEC,
	};

	times.stop_usec = times.drain_usec + SLACK_USEC;
	times.hand_over_usec = times.finish_usec + times.stop_usec;
	times.whole_usec = RESTART_ASK_USEC + times.hand_over_usec + HANDOVER_STORE_SECONDS * USEC_PER_SEC;
	return times;
}
