/* SPDX-License-Identifier: MIT
 *
 * How a worker leaves new clients to those of its crew that have fewer.
 */
#pragma once

#include <systemd/sd-event.h>

#include "crew/crew.h"
#include "serve/gate.h"

struct balance {
	const struct crew *crew;
	size_t index; /* of the worker */
	struct gate *gate;
	sd_event_source *aside;
	unsigned grown;		  /* connections since its share was looked at */
	bool stands_aside;	  /* leaves new clients to the others just now */
	uint64_t others_accepted; /* by the others, when it stood aside the last time */
	uint64_t vain_usec;	  /* they took nobody: how long it does not do so again; 0: they did */
	uint64_t again_usec;	  /* until then */
};

int balance_open(struct balance *balance, const struct crew *crew, size_t index, struct gate *gate);
void balance_close(struct balance *balance);

/* The worker has taken one more client. */
void balance_grew(struct balance *balance);

/* Another worker stands aside, and rang: takes some of those who wait. */
void balance_take_waiting(struct balance *balance);
