/* SPDX-License-Identifier: MIT
 *
 * What one user may have of porterd at a time, so that others find something left. systemd can't count here: it
 * knows the connections of Accept=yes sockets only (for those see instances.h).
 *
 * As long as all users together have less than one of them may have, nobody can have too much. So until then only
 * totals are kept, and most connections come and go without anybody asking whose they are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "base/clock.h"
#include "base/list.h"

struct quota_user;

/* Unless told otherwise, for one user: a quarter of all connections, and these. */
#define QUOTA_USER_BYTES (UINT64_C(64) * 1024 * 1024)
#define QUOTA_USER_OPENS 1024
/* All users together may leave so many bytes, and ask for so many files: so many times those of one. */
#define QUOTA_USERS 4

#define QUOTA_BUCKETS 256

enum quota_kind {
	QUOTA_CONNECTIONS,
	QUOTA_BYTES, /* received and not consumed, or not taken by the client yet */
	QUOTA_OPENS, /* files that the opener is asked for */
	QUOTA_DESCRIPTORS, /* on their way to clients (limits/unread) */
	QUOTA_KINDS,
};

/* Of one user; 0: the default. A user who may have as many connections as there are is not limited. */
struct quota_settings {
	size_t connections, bytes, opens;
};

struct quota {
	struct quota_limit {
		size_t total;	 /* what all have */
		size_t max;	 /* what all may have */
		size_t user_max; /* what one may have */
		size_t harmless; /* with a total up to here nobody can have too much */
	} limits[QUOTA_KINDS];
	bool counting; /* a total was above, so each user's share is known */
	bool generous; /* connections and bytes are given to whoever has them already; what they ask for is not */
	struct quota_user *users[QUOTA_BUCKETS];
	struct list shares;	/* that are open */
	uint64_t refused, told; /* how often, and how often when it was last told */
	struct complaint complaint;
	/* Something was refused to a user, who has `why`; called once in a while, with how often it was refused since the
	 * last time. (uid_t)-1: a client that the kernel can't name. NULL: nobody is told. */
	void (*refuse)(struct quota *quota, uid_t uid, const char *why, uint64_t count);
};

/* A connection's part. */
struct quota_share {
	struct list_link link;
	struct quota_user *user; /* NULL: nobody asked yet */
	int fd;			 /* the connection's, which says whose it is; not owned */
	uint32_t unread;	 /* of its descriptors: sent, and not read when that was last looked at (limits/unread) */
	uint32_t amounts[QUOTA_KINDS];
};

/* How many connections one user may have with these. */
size_t quota_user_connections(size_t connections_max, const struct quota_settings *settings);

/* Sets the limits, also while somebody has something: who has more than one may then keeps it, and gets no more. A
 * quota that is all zero is one of which nobody has anything. */
void quota_set(struct quota *quota, size_t connections_max, const struct quota_settings *settings);

/* For a kind that quota_set() leaves as it is: what all, and what one user, may have. */
void quota_set_limit(struct quota *quota, enum quota_kind kind, size_t max, size_t user_max);

/* A connection begins, which has nothing yet. It ends: gives back all it has. */
void quota_open_share(struct quota *quota, struct quota_share *share, int fd);
void quota_close_share(struct quota *quota, struct quota_share *share);

/* May the connection's user have so much more? 0; -EDQUOT: that would be too much (told once in a while); -ENOMEM. */
int quota_check(struct quota *quota, struct quota_share *share, enum quota_kind kind, size_t amount);

/* Adds to what the connection's user has, whatever may be had; takes away. */
void quota_add(struct quota *quota, struct quota_share *share, enum quota_kind kind, size_t amount);
void quota_give(struct quota *quota, struct quota_share *share, enum quota_kind kind, size_t amount);

/* More was refused for a reason that is not known here: counted, and told as what quota_check() refuses, "User N has
 * `why`". */
void quota_refuse(struct quota *quota, struct quota_share *share, const char *why);

/* Checks and adds. */
int quota_take(struct quota *quota, struct quota_share *share, enum quota_kind kind, size_t amount);

/* The connection keeps so many bytes from now on. -errno as above: then it keeps as many as before. */
int quota_hold_bytes(struct quota *quota, struct quota_share *share, size_t bytes);
