/* SPDX-License-Identifier: MIT
 *
 * Reading from fds of any kind.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Reads what there is, and waits if there is nothing yet. 0: the end. Negative: -errno. */
ssize_t stream_read(int fd, void *buffer, size_t size);
