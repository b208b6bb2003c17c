/* SPDX-License-Identifier: MIT
 *
 * The supervisor of a crew as the daemon's master: the daemon is one of its workers.
 */
#pragma once

#include "crew/worker.h"
#include "porterd/master.h"

struct member {
	struct master master;
	struct worker *worker; /* not owned */
	uint32_t settings;     /* those that are being read */
};

void member_init(struct member *member, struct worker *worker);
