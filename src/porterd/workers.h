/* SPDX-License-Identifier: MIT
 *
 * Several processes that serve the same sockets.
 */
#pragma once

#include "porterd/start.h"

/* Becomes their supervisor. Returns the exit status. */
int workers_serve(struct start *start);
