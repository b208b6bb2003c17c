/* SPDX-License-Identifier: MIT
 *
 * Where connections and packets are received into, one for the whole process: what is not consumed at once is copied to
 * its connection. Memory for it is only used where it is touched.
 */
#pragma once

#include <stddef.h>

/* All zero is none. */
struct buffer {
	char *data;
	size_t size;
};

/* Larger than any packet that can be sent back. 0 or -errno. */
int buffer_open(struct buffer *buffer);

/* Room for so many of them. */
int buffer_open_many(struct buffer *buffer, size_t count);

void buffer_close(struct buffer *buffer);
