/* SPDX-License-Identifier: MIT
 *
 * What the services of one process have together, beside what all connections have.
 */
#pragma once

#include "serve/population.h"
#include "services/opener_client.h"
#include "services/pipe_pool.h"

struct services {
	struct opener_client *opener;
	struct pipe_pool pipes;
	struct fdset *spare_fds; /* that nobody needs just now, for the next reply that does; owned */
};

/* Makes them a population's. The opener at `opener_path`, which must stay valid, is connected to when it is first
 * asked. 0 or -errno. */
int services_open(struct services *services, struct population *population, const char *opener_path);

/* After all connections have gone. */
void services_close(struct services *services);

static inline struct services *services_of(const struct population *population)
{
	return population->services;
}
