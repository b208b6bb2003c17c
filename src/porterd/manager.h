/* SPDX-License-Identifier: MIT
 *
 * The service manager as the daemon's master: it is told by sd_notify(3), and asked over D-Bus.
 */
#pragma once

#include "porterd/master.h"

struct manager {
	struct master master;
	size_t store_room;  /* descriptors that it takes before a restart */
};

void manager_init(struct manager *manager);

/* Tells it that the daemon stops, which takes so long at most: more than its unit may have (TimeoutStopSec=). */
void manager_tell_stopping(uint64_t usec);
