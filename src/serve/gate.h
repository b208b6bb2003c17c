/* SPDX-License-Identifier: MIT
 *
 * When new clients are let in: while there are not too many, and the kernel has something to give.
 */
#pragma once

#include "serve/population.h"

struct gate {
	struct population *population;
	size_t max; /* connections */
	bool full;  /* there are as many */
	struct complaint complaint;
	sd_event_source *resume;
};

/* The population is open. 0 or -errno. */
int gate_open(struct gate *gate, struct population *population);
void gate_close(struct gate *gate);

/* As many connections may there be, from now on. Those who wait need not wait until many have gone. */
void gate_set_max(struct gate *gate, size_t max);

/* A connection came or went. */
void gate_connections_changed(struct gate *gate);

/* The kernel was short of something (a positive errno): nobody new for a moment. */
void gate_pause(struct gate *gate, int error);

/* Those who were left to wait are let in, unless there is another reason why they wait. */
void gate_resume(struct gate *gate);

/* Nobody is let in any more, by no listener. */
void gate_shut(struct gate *gate);
