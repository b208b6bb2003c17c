/* SPDX-License-Identifier: MIT
 *
 * One Varlink message at a time over a blocking stream socket: bytes up to a NUL, and the fds that travel
 * with the first of them.
 */
#pragma once

#include <stddef.h>

#include "kernel/fdset.h"

/* Sends `size` bytes and waits until the kernel has taken all of them. -ECONNRESET: the peer is gone. */
int wire_send(int fd, const void *message, size_t size);

/* Receives one message of at most PORTER_MESSAGE_MAX bytes without its NUL into *ret, which the caller frees,
 * and its fds into the empty set `fds`. On failure the stream is out of step and has to be closed:
 * -ECONNRESET: it ended before the NUL. -EMSGSIZE: no NUL in time. -EBADMSG: fds in the middle of the
 * message, something after its end, or more fds than this process has room for. */
int wire_receive(int fd, char **ret, size_t *ret_size, struct fdset *fds);
