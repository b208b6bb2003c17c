/* SPDX-License-Identifier: MIT
 *
 * What a test and the library that it preloads tell each other, in a file that both have mapped. The test has the same
 * layout in faults.py.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PLAN_CALLS_MAX 512
#define PLAN_NAME_SIZE 24

struct plan_call {
	char name[PLAN_NAME_SIZE]; /* empty: not made so far */
	uint32_t count;
	uint32_t padding;
};

struct plan {
	/* From the test: of the calls of this name, the one of this number from now on fails with this errno. 0: none. */
	char name[PLAN_NAME_SIZE];
	uint32_t nth;
	int32_t error;
	/* From the library. */
	uint32_t failed; /* how many were made to fail */
	uint32_t waits; /* odd: it waits for events */
	uint32_t n_calls;
	uint32_t padding;
	struct plan_call calls[PLAN_CALLS_MAX];
};

/* Is it the one that fails? Counts it. NULL: no plan. */
bool plan_fails(struct plan *plan, const char *name, int *ret_error);

/* The plan of this process, NULL before it began. */
extern struct plan *plan_now;
