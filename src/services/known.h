/* SPDX-License-Identifier: MIT
 *
 * Calls that a client repeats in the same words: of the last of each kind, what need not be done again.
 */
#pragma once

#include "varlink/dispatch.h"

/* A call as it came on the wire. */
struct known_text {
	const char *data;
	size_t size;
};

/* All zero knows nothing. */
struct known {
	struct known_reply *reply;
	struct known_call *call;
};

void known_clear(struct known *known);

/* The reply to this call, which is answered the same way each time on this connection, and goes as it is. Keeps it; finds
 * it again: NULL if it is not the same call. */
void known_keep_reply(struct known *known, const struct known_text *call, const char *reply, size_t size);
const char *known_find_reply(const struct known *known, const struct known_text *call, size_t *ret_size);

/* A call that was answered with descriptors, parsed: who asks for a file again does so in the same words. */
void known_keep_call(struct known *known, const struct known_text *text, const struct varlink_call *call);
const struct varlink_known *known_find_call(const struct known *known, const struct known_text *text);
