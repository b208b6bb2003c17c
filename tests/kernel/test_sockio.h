/* SPDX-License-Identifier: MIT
 *
 * The test of sockio is one program of two files: bytes and packets; fds and attestations.
 */
#pragma once

#include "kernel/sockio.h"
#include "unit.h"

TCase *sockio_fds_case(void);

/* A connected pair. */
void sockio_pair(int type, int ends[2]);
void sockio_close(const int ends[2]);

/* Sends one message with `n_fds` fds. */
void sockio_pass(int fd, const void *data, size_t size, size_t n_fds);
