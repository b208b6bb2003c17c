/* SPDX-License-Identifier: MIT
 *
 * Runs cases.
 */
#pragma once

#include "bench/case.h"
#include "bench/world.h"

/* At least so many, and more, shorter ones where there is time: a median does not mind the rounds in which the
 * machine did something else. Each side is the first in half of them. */
#define COMPARE_ROUNDS_MIN 8
#define COMPARE_ROUNDS_MAX 4000

/* What the runs of a case need to know of the others, and tell while they go on. */
struct compare {
	struct world *world;
	double seconds;
	const struct result *results; /* so far */
	size_t n_results;
	void (*progress)(const char *title, unsigned round, unsigned rounds);
};

/* Measures one case. Errors are in the result. */
void compare_run(const struct compare *compare, const struct bench_case *bench, struct result *result);
