/* SPDX-License-Identifier: MIT
 *
 * What one user may have of porterd at a time.
 */
#include "limits/quota.h"

#include "base/macro.h"
#include "kernel/sockopt.h"

/* There are never more of these than connections: one goes with the last of its connections. */
struct quota_user {
	struct quota_user *next;
	uid_t uid;
	size_t n_shares;
	size_t amounts[QUOTA_KINDS];
};

static const char *const kind_names[QUOTA_KINDS] = {
	[QUOTA_CONNECTIONS] = "connections",
	[QUOTA_BYTES] = "bytes waiting",
	[QUOTA_OPENS] = "files asked for",
	[QUOTA_DESCRIPTORS] = "descriptors not read",
};

static void set_limit(struct quota_limit *limit, size_t max, size_t user_max)
{
	limit->max = max;
	limit->user_max = MIN_OF(user_max, max);
	/* See user_may_have(): up to half of all, what one has is less than what is left. */
	limit->harmless = user_max >= max ? max : MIN_OF(user_max, max / 2);
}

size_t quota_user_connections(size_t connections_max, const struct quota_settings *settings)
{
	return settings->connections ? settings->connections : (connections_max + 3) / 4;
}

void quota_set(struct quota *quota, size_t connections_max, const struct quota_settings *settings)
{
	size_t connections = quota_user_connections(connections_max, settings);
	size_t bytes = settings->bytes ? settings->bytes : QUOTA_USER_BYTES;
	size_t opens = settings->opens ? settings->opens : QUOTA_USER_OPENS;

	set_limit(&quota->limits[QUOTA_CONNECTIONS], connections_max, connections);
	set_limit(&quota->limits[QUOTA_BYTES], bytes * QUOTA_USERS, bytes);
	/* Each connection asks for one file at least. */
	set_limit(&quota->limits[QUOTA_OPENS], MAX_OF(opens * QUOTA_USERS, connections_max), opens);
}

void quota_set_limit(struct quota *quota, enum quota_kind kind, size_t max, size_t user_max)
{
	set_limit(&quota->limits[kind], max, user_max);
}

static struct quota_user **bucket_of(struct quota *quota, uid_t uid)
{
	return &quota->users[uid * UINT32_C(2654435761) >> 24];
}

static struct quota_user *find_user(struct quota *quota, uid_t uid)
{
	struct quota_user **bucket = bucket_of(quota, uid);
	struct quota_user *user = *bucket;

	while (user && user->uid != uid)
		user = user->next;
	if (user)
		return user;

	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->uid = uid;
	user->next = *bucket;
	*bucket = user;
	return user;
}

static void forget_user(struct quota *quota, struct quota_user *user)
{
	struct quota_user **link = bucket_of(quota, user->uid);

	while (*link != user)
		link = &(*link)->next;
	*link = user->next;
	free(user);
}

/* Finds out whose the connection is, and counts what it has. */
static int identify(struct quota *quota, struct quota_share *share)
{
	struct ucred credentials;

	if (share->user)
		return 0;
	/* Clients that the kernel can't name, of TCP or vsock, count as one user, who is nobody else: -1. */
	if (sockopt_peer_credentials(share->fd, &credentials) < 0)
		credentials.uid = (uid_t)-1;
	share->user = find_user(quota, credentials.uid);
	if (!share->user)
		return -ENOMEM;
	share->user->n_shares++;
	for (size_t kind = 0; kind < QUOTA_KINDS; kind++)
		share->user->amounts[kind] += share->amounts[kind];
	return 0;
}

static void start_counting(struct quota *quota)
{
	quota->counting = true;
	LIST_FOR_EACH(&quota->shares, struct quota_share, share, link)
		(void)identify(quota, share);
}

/* Looking at all connections again has to be worth it: a client that comes and goes at the limit must not make it
 * happen each time. */
static void stop_counting(struct quota *quota)
{
	for (size_t kind = 0; kind < QUOTA_KINDS; kind++)
		if (quota->limits[kind].total > quota->limits[kind].harmless / 2)
			return;
	quota->counting = false;
}

/* One may not have more than is left for others either: so however many users take what they can, whoever comes
 * next finds something. Root is not one user but many services, and could stop porterd anyway. */
static bool user_may_have(const struct quota_limit *limit, const struct quota_user *user, enum quota_kind kind,
			  size_t amount)
{
	size_t wanted = user->amounts[kind] + amount;

	if (limit->total + amount > limit->max)
		return false;
	if (user->uid == 0 || limit->user_max == limit->max)
		return true;
	return wanted <= limit->user_max && wanted <= limit->max - limit->total;
}

static void complain(struct quota *quota, const struct quota_user *user, const char *why)
{
	quota->refused++;
	if (!quota->refuse || !complaint_is_due(&quota->complaint))
		return;
	quota->refuse(quota, user->uid, why, quota->refused - quota->told);
	quota->told = quota->refused;
}

static void complain_of(struct quota *quota, const struct quota_user *user, enum quota_kind kind)
{
	char why[128];

	(void)snprintf(why, sizeof(why), "as much as one user may have: %zu %s, of %zu of all users", user->amounts[kind],
		       kind_names[kind], quota->limits[kind].total);
	complain(quota, user, why);
}

void quota_open_share(struct quota *quota, struct quota_share *share, int fd)
{
	*share = (struct quota_share){ .fd = fd };
	list_prepend(&quota->shares, &share->link);
}

void quota_close_share(struct quota *quota, struct quota_share *share)
{
	for (enum quota_kind kind = 0; kind < QUOTA_KINDS; kind++)
		if (share->amounts[kind] > 0)
			quota_give(quota, share, kind, share->amounts[kind]);
	list_remove(&quota->shares, &share->link);
	if (share->user && --share->user->n_shares == 0)
		forget_user(quota, share->user);
	share->user = NULL;
}

int quota_check(struct quota *quota, struct quota_share *share, enum quota_kind kind, size_t amount)
{
	const struct quota_limit *limit = &quota->limits[kind];
	int r;

	if (quota->generous && (kind == QUOTA_CONNECTIONS || kind == QUOTA_BYTES))
		return 0;
	if (!quota->counting && limit->total + amount <= limit->harmless)
		return 0;
	if (!quota->counting)
		start_counting(quota);
	r = identify(quota, share);
	if (r < 0)
		return r;
	if (user_may_have(limit, share->user, kind, amount))
		return 0;
	complain_of(quota, share->user, kind);
	return -EDQUOT;
}

void quota_add(struct quota *quota, struct quota_share *share, enum quota_kind kind, size_t amount)
{
	/* What nobody has asked for by quota_check() is somebody's, too. */
	if (quota->counting)
		(void)identify(quota, share);
	quota->limits[kind].total += amount;
	share->amounts[kind] += (uint32_t)amount;
	if (share->user)
		share->user->amounts[kind] += amount;
}

void quota_refuse(struct quota *quota, struct quota_share *share, const char *why)
{
	if (identify(quota, share) >= 0)
		complain(quota, share->user, why);
}

int quota_take(struct quota *quota, struct quota_share *share, enum quota_kind kind, size_t amount)
{
	int r = quota_check(quota, share, kind, amount);

	if (r >= 0)
		quota_add(quota, share, kind, amount);
	return r;
}

void quota_give(struct quota *quota, struct quota_share *share, enum quota_kind kind, size_t amount)
{
	quota->limits[kind].total -= amount;
	share->amounts[kind] -= (uint32_t)amount;
	if (share->user)
		share->user->amounts[kind] -= amount;
	if (quota->counting)
		stop_counting(quota);
}

int quota_hold_bytes(struct quota *quota, struct quota_share *share, size_t bytes)
{
	size_t held = share->amounts[QUOTA_BYTES];

	if (bytes > held)
		return quota_take(quota, share, QUOTA_BYTES, bytes - held);
	if (bytes < held)
		quota_give(quota, share, QUOTA_BYTES, held - bytes);
	return 0;
}
