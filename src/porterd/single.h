/* SPDX-License-Identifier: MIT
 *
 * Accept=yes: a process of its own for one client.
 */
#pragma once

#include <stdbool.h>

#include "porterd/config.h"
#include "serve/protocol.h"

/* May the client of this process be served, as few as its user has of them? Records it if not. */
bool single_is_welcome(const struct config *config, struct recorder *recorder);

/* Serves it by blocking calls, for a protocol that has those. One that reads nothing is waited for no longer than in the
 * loop. 0 at its end; -errno: it was not served. */
int single_serve(const struct protocol *protocol, int fd, const struct config *config);
