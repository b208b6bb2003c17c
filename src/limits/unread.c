/* SPDX-License-Identifier: MIT
 *
 * Descriptors under way to clients.
 */
#include "limits/unread.h"

#include "base/clock.h"
#include "base/macro.h"
#include "kernel/sockopt.h"
#include "limits/instances.h"

/* Looking at all who have not read takes this part of the time at most, whoever asks for more again and again. */
#define LOOKING_PART 10

void unread_init(struct unread *unread, struct quota *quota, size_t max)
{
	size_t user_max = max / 4;

	*unread = (struct unread){ .quota = quota };
	quota_set_limit(quota, QUOTA_DESCRIPTORS, max, user_max < FDSET_MAX ? FDSET_MAX : user_max);
}

static void forget(struct unread *unread, struct quota_share *share)
{
	quota_give(unread->quota, share, QUOTA_DESCRIPTORS, share->unread);
	share->unread = 0;
}

/* Nobody tells when a client reads; whoever asks for the next one shows it mostly, others are looked at where it
 * matters. */
static void look_for_readers(struct unread *unread)
{
	uint64_t begin = clock_now_usec(), end;

	if (begin < unread->look_usec)
		return;
	LIST_FOR_EACH(&unread->quota->shares, struct quota_share, share, link)
		if (share->unread > 0 && sockopt_all_read(share->fd))
			forget(unread, share);
	end = clock_now_usec();
	unread->look_usec = end + (LOOKING_PART - 1) * (end - begin);
}

/* The kernel counts what all processes of porterd's user have under way, but the process of one client knows its own
 * alone. So of what one user may have, a half is for the first processes of that user, as much as one request can ask
 * for each, and a half is for all others, a few each. A client has one reply with descriptors under way at most. */
static bool is_for_another(const struct unread *unread, size_t count)
{
	size_t half = unread->quota->limits[QUOTA_DESCRIPTORS].max / 2;
	size_t few = half / unread->processes, first = half / FDSET_MAX;

	return count > (few ? few : 1) && !instance_is_among(first ? first : 1);
}

int unread_reserve(struct unread *unread, struct quota_share *share, size_t count)
{
	struct quota *quota = unread->quota;
	const struct quota_limit *limit = &quota->limits[QUOTA_DESCRIPTORS];

	/* A call before this one may have been refused, with nothing sent since. */
	unread_settle(unread, share);
	if (unread->processes > 0 && is_for_another(unread, count)) {
		quota_refuse(quota, share, "more isolated connections than may ask for so many files at a time");
		return -EBUSY;
	}
	if (limit->total + count > limit->harmless)
		look_for_readers(unread);
	if (limit->total == 0) {
		quota_add(quota, share, QUOTA_DESCRIPTORS, count);
		return 0;
	}
	return quota_take(quota, share, QUOTA_DESCRIPTORS, count) < 0 ? -EBUSY : 0;
}

void unread_sent(struct unread *unread, struct quota_share *share)
{
	forget(unread, share);
	share->unread = share->amounts[QUOTA_DESCRIPTORS];
}

void unread_settle(struct unread *unread, struct quota_share *share)
{
	quota_give(unread->quota, share, QUOTA_DESCRIPTORS, share->amounts[QUOTA_DESCRIPTORS] - share->unread);
}

void unread_take_over(struct unread *unread, struct quota_share *share, uint32_t count)
{
	quota_add(unread->quota, share, QUOTA_DESCRIPTORS, count);
	share->unread = count;
}
