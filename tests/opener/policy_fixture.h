/* SPDX-License-Identifier: MIT
 *
 * A policy read from the test's directory, and what was told of it.
 */
#pragma once

#include "opener/policy/policy.h"
#include "tests/opener/fixture.h"

#define ME "AllowUser=1000\n"

/* What was read last, and every error of it, a line each. */
extern struct policy *policy;
extern char told[];

/* Instead of fixture_teardown(). */
void policy_teardown(void);

/* Reads the policy from the test's directory, or from up to three (NULL: none). */
void load(void);
void load_from(const char *first, const char *second, const char *third);

void ck_no_errors(void);

/* Does the policy have the file, and can it be granted? */
bool granted(const char *name);
bool broken(const char *name);
