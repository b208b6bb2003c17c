/* SPDX-License-Identifier: MIT
 *
 * The decision: does this grant permit this client? Nothing but its arguments goes in, nothing but the answer
 * comes out.
 */
#pragma once

#include <stdbool.h>

#include "kernel/identity.h"
#include "opener/policy/grant.h"

struct decision {
	bool permitted;
	const char *reason; /* a constant string, for either answer */
};

/* `alive` is identity_is_alive() of the client, asked after everything else of it was read. */
struct decision decide(const struct grant *grant, const struct identity *client, bool alive);
