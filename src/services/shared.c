/* SPDX-License-Identifier: MIT
 *
 * What the services of one process have together.
 */
#include "services/shared.h"

int services_open(struct services *services, struct population *population, const char *opener_path)
{
	*services = (struct services){ 0 };
	population->services = services;
	return opener_client_new(&services->opener, population->loop, population->recorder, opener_path);
}

void services_close(struct services *services)
{
	opener_client_free(services->opener);
	pipe_pool_clear(&services->pipes);
	free(services->spare_fds);
	*services = (struct services){ 0 };
}
