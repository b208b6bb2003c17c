/* SPDX-License-Identifier: MIT
 */
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>

int memory_reserve(size_t size)
{
	/* Volatile, or the compiler leaves out what comes to nothing. */
	void *volatile memory = malloc(size);

	if (!memory)
		return -ENOMEM;
	free(memory);
	return 0;
}
