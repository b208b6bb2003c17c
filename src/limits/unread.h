/* SPDX-License-Identifier: MIT
 *
 * Descriptors under way to clients: asked for, or sent and not read yet.
 *
 * This process holds them until they are sent, and after that the kernel counts them for user porterd until they are
 * read. At a limit of its own (RLIMIT_NOFILE) it lets that user send none any more to anybody, not even to the opener.
 * So what a client leaves unread is a part of its user's quota for as long as it is unread: also where its connection
 * ends before (serve/linger).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/fdset.h"
#include "limits/quota.h"

/* Of which one user may have as many as one request can ask for. */
#define UNREAD_LEAST (4 * FDSET_MAX)

struct unread {
	struct quota *quota;
	uint64_t look_usec; /* not before: to look at all who have not read */
	/* In a process of one client: how many such processes its user may have; 0: this is none. */
	size_t processes;
};

/* How many may be under way for all users; one may have a quarter of them, or, of less than UNREAD_LEAST, as many as one
 * request can ask for. */
void unread_init(struct unread *unread, struct quota *quota, size_t max);

/* Takes a share for an answer that will bring so many. One answer is always let through when no other is under way.
 * -EBUSY: it would be too many, for this user or for all. */
int unread_reserve(struct unread *unread, struct quota_share *share, size_t count);

/* The answer has been sent, and that could only be done because everything before it had been read. */
void unread_sent(struct unread *unread, struct quota_share *share);

/* No answer is on its way to the client any more: what it did not get is given back. */
void unread_settle(struct unread *unread, struct quota_share *share);

/* Counts what another porterd, or connection, has sent to the client. */
void unread_take_over(struct unread *unread, struct quota_share *share, uint32_t count);
