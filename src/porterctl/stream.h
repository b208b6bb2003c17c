/* SPDX-License-Identifier: MIT
 *
 * Bytes from fds, whatever kind those are.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Reads what there is, waiting for it if need be. 0: the end. */
ssize_t stream_read(int fd, void *buffer, size_t size);
