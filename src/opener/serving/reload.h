/* SPDX-License-Identifier: MIT
 *
 * The policy that is in force: read at the start, and again when somebody says so. Records what is wrong with it, and
 * what became of it.
 */
#pragma once

#include "opener/policy/policy.h"
#include "record/record.h"

/* Puts into *policy what is read now; it stays the caller's, and what was there is freed. The first one (*policy is
 * NULL) is taken with its errors, and their sections are never granted; a later one that has errors, or can't be read,
 * changes nothing. 0; -EBADMSG for such errors, or -errno. */
int policy_renew(struct policy **policy, const struct policy_source *source, struct recorder *recorder);
