/* SPDX-License-Identifier: MIT
 *
 * Two processes of which one opens files and the other hands them to a client.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "bench/side.h"

struct bare_pair {
	const struct side *side;
	int client;  /* listens */
	int ends[2]; /* of the connection between them: the front's, the back's */
};

/* Makes a side of the two; each function gets the struct bare_pair, and closes the other's end. 0 or -errno. */
int bare_pair_start(struct side *side, int (*front)(void *data), int (*back)(void *data));

/* As sendmsg(2). */
ssize_t bare_send_fd(int socket, const void *data, size_t size, int fd);

/* Receives a message of up to `size` bytes. The descriptor, or -EBADF if none came. */
int bare_receive_fd(int socket, void *data, size_t size);
