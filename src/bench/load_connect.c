/* SPDX-License-Identifier: MIT
 *
 * One exchange on each connection.
 */
#include <string.h>

#include "base/macro.h"
#include "bench/side.h"

#define MESSAGE_MAX ((size_t)4096)

static int connect_once(struct side *side)
{
	char message[MESSAGE_MAX], answer[MESSAGE_MAX];
	_cleanup_close_ int fd = side_connect(side, side->type);
	size_t size = MIN_OF(side->shape->size, MESSAGE_MAX);
	int r;

	if (fd < 0)
		return fd;
	memset(message, 'm', size);
	side->serial++;
	memcpy(message, &side->serial, sizeof(side->serial));
	r = side_send_all(fd, message, size);
	if (r >= 0)
		r = side_receive_all(fd, answer, size);
	if (r >= 0 && memcmp(message, answer, size) != 0)
		r = -EBADMSG;
	return r;
}

static int connect_run(struct side *side, uint64_t until, struct sample *sample)
{
	do {
		uint64_t begin = now_nsec();
		int r = connect_once(side);

		if (r < 0)
			return r;
		histogram_add(sample->latencies, now_nsec() - begin);
		sample->operations++;
		sample->bytes += side->shape->size;
	} while (now_nsec() < until);
	return 0;
}

static int connect_open(struct side *side)
{
	(void)side;
	return 0;
}

const struct load load_connect = { connect_open, connect_run };
