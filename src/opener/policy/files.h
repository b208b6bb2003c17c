/* SPDX-License-Identifier: MIT
 *
 * The files that make up the policy.
 */
#pragma once

#include "opener/policy/raw.h"

/* Finds the files of raw->source, checks whose they are, and lays them over one another in order. 0, or -errno of a
 * shortage. */
int policy_read_files(struct raw_policy *raw);
