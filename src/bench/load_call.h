/* SPDX-License-Identifier: MIT
 *
 * Varlink calls that are always the same.
 */
#pragma once

#include "bench/side.h"
#include "kernel/fdset.h"

/* What is asked from now on. */
void load_call_set(struct side *side, const char *request);

/* Asks it once on the first connection and keeps the reply: what comes later must be the same. The descriptors that
 * came along go into `fds`; NULL: there must be none. -EBADMSG: the reply is an error. */
int load_call_learn(struct side *side, struct fdset *fds);
