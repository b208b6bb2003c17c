/* SPDX-License-Identifier: MIT
 *
 * The answer to a request of porterd's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/opener_wire.h"
#include "kernel/fdset.h"

struct response {
	struct opener_reply header;
	char text[OPENER_TEXT_MAX]; /* header.text_size of it */
	struct fdset fds;	    /* owned */
};

/* Nothing yet. */
void response_init(struct response *response);

/* A result and its reason. */
void response_set(struct response *response, enum opener_result result, const char *reason);

/* Appends strings with their NULs to the text, all or none. False: there is no room. */
bool response_append(struct response *response, const char *const *strings, size_t n_strings);
