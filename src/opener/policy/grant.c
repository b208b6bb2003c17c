/* SPDX-License-Identifier: MIT
 *
 * A grant.
 */
#include "opener/policy/grant.h"

#include <stdlib.h>

const char *const grant_access_words[N_GRANT_ACCESSES] = {
	[GRANT_READ] = "read",
	[GRANT_WRITE] = "write",
	[GRANT_READ_WRITE] = "read-write",
	[GRANT_APPEND] = "append",
};

void grant_clear(struct grant *grant)
{
	free(grant->description);
	free(grant->path);
	free(grant->within);
	free(grant->users);
	free(grant->groups);
	for (size_t i = 0; i < grant->n_units; i++)
		free(grant->units[i]);
	free(grant->units);
}
