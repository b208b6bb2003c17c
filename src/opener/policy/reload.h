/* SPDX-License-Identifier: MIT
 *
 * The policy that is in force: read at the start, and again when somebody says so. Records what is wrong with it, and
 * what became of it.
 */
#pragma once

#include "opener/policy/policy.h"
#include "record/record.h"

/* Reads the first one; sections with errors are never granted. 0 with *ret owned by the caller, or -errno. */
int policy_begin(struct policy **ret, const struct policy_source *source, struct recorder *recorder);

/* Reads it again. One that has errors, or can't be read, changes nothing; otherwise *policy is freed, and another. */
void policy_renew(struct policy **policy, const struct policy_source *source, struct recorder *recorder);
