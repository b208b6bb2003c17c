/* SPDX-License-Identifier: MIT
 *
 * Which CPU the server runs on, and which the client.
 */
#pragma once

#include <stdbool.h>

struct places {
	int server, client; /* CPU numbers; the same where this process may use only one */
};

/* Chooses two CPUs that this process may use, of different cores if possible. -errno if the kernel tells none. */
int places_choose(struct places *ret);

/* Binds this process to a CPU. */
int place_bind(int cpu);
