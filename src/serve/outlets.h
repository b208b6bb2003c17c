/* SPDX-License-Identifier: MIT
 *
 * Sockets for answers to datagrams, beside the one that answers everybody: each carries answers to one sender, as many as a
 * send buffer of the usual size holds. What lies unread at its receiver is memory of ours, and nobody else's answers wait
 * for that.
 */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "kernel/sockio.h"

/* For all, and for one user. */
#define OUTLETS_MAX 256
#define OUTLETS_PER_USER_MAX 64

struct outlets {
	struct outlet {
		int fd;
		uid_t uid;
		struct sockio_sender to;
	} all[OUTLETS_MAX];
};

void outlets_init(struct outlets *outlets);
void outlets_clear(struct outlets *outlets);

/* The sender's, or one of which nothing is unread any more, or, for a user who has enough of them, the one of which the
 * least is unread. Its fd, which stays theirs; negative: there is none. */
int outlets_find(struct outlets *outlets, uid_t uid, const struct sockio_sender *to);

static inline bool sender_is(const struct sockio_sender *a, const struct sockio_sender *b)
{
	return a->address_size == b->address_size && memcmp(&a->address, &b->address, a->address_size) == 0;
}
