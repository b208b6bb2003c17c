/* SPDX-License-Identifier: MIT
 *
 * Runs cases.
 */
#pragma once

#include "bench/case.h"
#include "bench/world.h"

/* How many rounds a case has. Each side begins in half of them. Many short ones are better than a few long ones: a
 * median does not mind the rounds in which the machine did something else. */
#define COMPARE_ROUNDS_MIN 8
#define COMPARE_ROUNDS_MAX 4000

/* What a run needs to know of the other cases, and whom it tells how far it is. */
struct compare {
	struct world *world;
	double seconds;
	const struct result *results; /* so far */
	size_t n_results;
	void (*progress)(const char *title, unsigned round, unsigned rounds);
};

/* Measures one case. Errors are in the result. */
void compare_run(const struct compare *compare, const struct bench_case *bench, struct result *result);
