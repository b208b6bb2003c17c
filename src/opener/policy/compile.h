/* SPDX-License-Identifier: MIT
 *
 * What the texts of a section mean.
 */
#pragma once

#include "opener/policy/grant.h"
#include "opener/policy/raw.h"

/* Makes a grant of a section, or a broken one, with an error for each thing that is wrong. 0 or -ENOMEM. */
int policy_compile_section(struct raw_policy *raw, struct raw_section *section, struct grant *ret);
