/* SPDX-License-Identifier: MIT
 *
 * One file of the policy.
 */
#pragma once

#include "opener/policy/raw.h"

/* Lays one file's content (an fd at its start; `name` is for people, raw's, and no other file's) over what is there.
 * What is wrong is reported. 0 or -ENOMEM. */
int policy_parse_file(struct raw_policy *raw, int fd, const char *name);
