/* SPDX-License-Identifier: MIT
 *
 * Bulk on one connection: as many messages as the window allows go out, then they come back, and every byte is
 * compared.
 */
#include <string.h>

#include "base/macro.h"
#include "bench/side.h"

/* Longer than a piece, and prime: when bytes are lost, doubled or reordered, what follows does not match. */
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

/* Sends all that the window allows, then receives all of it. The sockets' buffers and the server hold that much, so
 * neither side waits for the other for ever. */
static int exchange_window(struct side *side, struct bulk *bulk, struct sample *sample)
{
	size_t size = side->shape->size;

	for (size_t i = 0; i < bulk->window; i++) {
		int r;

		bulk->begun_nsec[i] = now_nsec();
		r = side_send_all(side->fds[0], bulk->pattern + bulk->sent % PERIOD, size);
		if (r < 0)
			return r;
		bulk->sent += size;
	}
	for (size_t i = 0; i < bulk->window; i++) {
		int r = side_receive_all(side->fds[0], bulk->piece, size);

		if (r >= 0 && memcmp(bulk->piece, bulk->pattern + bulk->received % PERIOD, size) != 0)
			r = -EBADMSG;
		if (r < 0)
			return r;
		bulk->received += size;
		histogram_add(sample->latencies, now_nsec() - bulk->begun_nsec[i]);
		sample->operations++;
		sample->bytes += size;
	}
	return 0;
}

static int bulk_run(struct side *side, uint64_t until, struct sample *sample)
{
	do {
		int r = exchange_window(side, side->state, sample);

		if (r < 0)
			return r;
	} while (now_nsec() < until);
	return 0;
}

const struct load load_bulk = { bulk_open, bulk_run };
