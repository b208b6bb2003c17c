/* SPDX-License-Identifier: MIT
 *
 * What the tests of sockio share: connected pairs.
 */
#pragma once

#include "kernel/sockio.h"
#include "tests/base/unit.h"

/* A connected pair. */
void sockio_pair(int type, int ends[2]);
void sockio_close(const int ends[2]);

/* Sends one message with `n_fds` fds. */
void sockio_pass(int fd, const void *data, size_t size, size_t n_fds);
