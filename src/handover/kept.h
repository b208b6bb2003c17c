/* SPDX-License-Identifier: MIT
 *
 * What the next porterd must know of a connection that it takes over, and how that is written down. No side effects
 * but the writing.
 *
 * The kernel keeps the most: who the client is, what it has sent, and whether it has said all it wanted. Left is what
 * this process has already received, and what it has not sent yet.
 */
#pragma once

#include "serve/protocol.h"

struct kept {
	uint64_t cookie;  /* the socket's (SO_COOKIE): no two have the same one since boot (before Linux 5.10: in one
			   * network namespace) */
	const char *name; /* of its protocol */
	int type;	  /* its protocol's */
	struct leftovers leftovers;
	uint32_t unread_descriptors; /* of an answer that the client has not read; FDSET_MAX at most */
};

/* A file holds no more. */
#define KEPT_MAX 4096

/* A list, in the order of cookies. The texts in it belong to what it was read from. All zero is empty. */
struct kept_list {
	struct kept *entries;
	size_t count;
};

/* Begins an empty file; adds a connection at its end. 0 or -errno. */
int kept_write_header(int fd);
int kept_write(int fd, const struct kept *kept);

/* Reads what a file holds. -EBADMSG: it is not what another porterd of this kind has written; -ENOMEM. */
int kept_list_parse(struct kept_list *list, const void *data, size_t size);
void kept_list_clear(struct kept_list *list);

/* NULL: there is none. */
const struct kept *kept_list_find(const struct kept_list *list, uint64_t cookie);
