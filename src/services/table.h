/* SPDX-License-Identifier: MIT
 *
 * Every service, by name and type of socket.
 */
#pragma once

#include <stdbool.h>

#include "serve/protocol.h"

/* NULL: nothing is spoken on sockets of this name and type. */
const struct protocol *service_find(const char *name, int type);

/* Is it the name of a service at all? */
bool service_is_known(const char *name);
