/* SPDX-License-Identifier: MIT
 *
 * Where connections and packets are received into.
 */
#include "serve/buffer.h"

#include <sys/mman.h>

#include "base/macro.h"
#include "kernel/sockopt.h"

int buffer_open_many(struct buffer *buffer, size_t count)
{
	size_t size = sockopt_packet_max() * count;
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (data == MAP_FAILED)
		return -errno;
	*buffer = (struct buffer){ .data = data, .size = size };
	return 0;
}

int buffer_open(struct buffer *buffer)
{
	return buffer_open_many(buffer, 1);
}

void buffer_close(struct buffer *buffer)
{
	if (buffer->data)
		(void)munmap(buffer->data, buffer->size);
	*buffer = (struct buffer){ 0 };
}
