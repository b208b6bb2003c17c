/* SPDX-License-Identifier: MIT
 *
 * Bulk on one connection: as many bytes under way as the window allows, and every one of them looked at.
 */
#include <poll.h>
#include <string.h>

#include "base/macro.h"
#include "bench/case.h"
#include "bench/side.h"

/* Longer than a piece, and prime: bytes that are lost, doubled or changed in their order do not fit again. */
#define PERIOD ((size_t)65537)

struct bulk {
	uint64_t sent, received;
	uint64_t begun_nsec[64]; /* of the messages that are under way */
	size_t window;
	char *pattern; /* two periods: a piece may begin anywhere in the first */
	char *piece;
};

static int bulk_open(struct side *side)
{
	struct bulk *bulk = calloc(1, sizeof(*bulk));
	uint32_t random = 1;
	int r = side_make_fds(side, 1);

	side->state = bulk;
	if (r < 0 || !bulk)
		return -ENOMEM;
	bulk->window = MIN_OF(side->shape->window, ELEMENTSOF(bulk->begun_nsec));
	bulk->pattern = malloc(2 * PERIOD);
	bulk->piece = malloc(side->shape->size);
	if (!bulk->pattern || !bulk->piece || side->shape->size > PERIOD)
		return -ENOMEM;
	for (size_t i = 0; i < PERIOD; i++) {
		random = random * 1664525U + 1013904223U;
		bulk->pattern[i] = bulk->pattern[PERIOD + i] = (char)(random >> 24);
	}
	side->fds[0] = side_connect(side, SOCK_STREAM);
	return side->fds[0] < 0 ? side->fds[0] : 0;
}

/* True if something was sent. */
static int send_some(struct side *side, struct bulk *bulk)
{
	size_t size = side->shape->size, left = size - bulk->sent % size;
	ssize_t sent;

	if (bulk->sent - bulk->received + left > bulk->window * size)
		return 0;
	if (left == size)
		bulk->begun_nsec[bulk->sent / size % bulk->window] = now_nsec();
	sent = send(side->fds[0], bulk->pattern + bulk->sent % PERIOD, left, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN ? 0 : -errno;
	bulk->sent += (uint64_t)sent;
	return 1;
}

static int receive_some(struct side *side, struct bulk *bulk, struct sample *sample)
{
	size_t size = side->shape->size;
	ssize_t received = recv(side->fds[0], bulk->piece, size, MSG_DONTWAIT);
	uint64_t before = bulk->received;

	if (received <= 0)
		return received == 0 ? -EPIPE : errno == EAGAIN ? 0 : -errno;
	if (memcmp(bulk->piece, bulk->pattern + before % PERIOD, (size_t)received) != 0)
		return -EBADMSG;
	bulk->received += (uint64_t)received;
	sample->bytes += (uint64_t)received;
	for (uint64_t i = before / size; i < bulk->received / size; i++) {
		histogram_add(sample->latencies, now_nsec() - bulk->begun_nsec[i % bulk->window]);
		sample->operations++;
	}
	return 1;
}

static int wait_for_either(const struct side *side, const struct bulk *bulk)
{
	struct pollfd either = { .fd = side->fds[0], .events = POLLIN };
	int r;

	if (bulk->sent - bulk->received < bulk->window * side->shape->size)
		either.events |= POLLOUT;
	r = poll(&either, 1, 5000);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

static int bulk_run(struct side *side, uint64_t until, struct sample *sample)
{
	struct bulk *bulk = side->state;
	bool filling = true;

	/* It ends with nothing under way: the other side's turn is not spent on ours. */
	while (filling || bulk->received < bulk->sent) {
		int sent = filling ? send_some(side, bulk) : 0;
		int received = sent < 0 ? sent : receive_some(side, bulk, sample);
		int r = received;

		if (received == 0 && sent == 0)
			r = wait_for_either(side, bulk);
		if (r < 0)
			return r;
		if (now_nsec() >= until && bulk->sent > 0 && bulk->sent % side->shape->size == 0)
			filling = false;
	}
	return 0;
}

const struct load load_bulk = { bulk_open, bulk_run };
