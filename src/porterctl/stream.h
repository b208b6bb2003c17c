/* SPDX-License-Identifier: MIT
 *
 * Bytes from fds and to fds, whatever kind those are.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Reads what there is, waiting for it if need be. 0: the end. */
ssize_t stream_read(int fd, void *buffer, size_t size);

/* Writes all of it, waiting if need be. 0 or -errno. */
int stream_write(int fd, const void *buffer, size_t size);
