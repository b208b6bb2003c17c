/* SPDX-License-Identifier: MIT
 *
 * How fast one user's refusals are recorded.
 */
#include "opener/serving/refusals.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/macro.h"
#include "record/message_id.h"

/* Of the time in which a bucket fills, one record takes so much. */
#define RECORD_USEC (USEC_PER_SEC / REFUSALS_PER_SECOND)
#define BURST_USEC (REFUSALS_BURST * RECORD_USEC)

static bool is_unused(const struct refused_user *user, uint64_t now_usec)
{
	return user->full_usec <= now_usec && user->untold == 0;
}

struct refused_user *refusals_find(struct refusals *refusals, uid_t uid, uint64_t now_usec)
{
	struct refused_user *unused = NULL;

	for (size_t i = 0; i < ELEMENTSOF(refusals->users); i++) {
		struct refused_user *user = &refusals->users[i];

		if (is_unused(user, now_usec))
			unused = user;
		else if (user->uid == uid)
			return user;
	}
	if (!unused)
		return &refusals->others;
	unused->uid = uid;
	return unused;
}

bool refused_user_may_record(struct refused_user *user, uint64_t now_usec)
{
	if (user->full_usec < now_usec + BURST_USEC)
		return true;
	user->untold++;
	return false;
}

void refused_user_recorded(struct refused_user *user, uint64_t now_usec)
{
	if (user->full_usec < now_usec)
		user->full_usec = now_usec;
	user->full_usec += RECORD_USEC;
	/* What must be recorded at any rate makes others wait, but not without end. */
	user->full_usec = MIN_OF(user->full_usec, now_usec + BURST_USEC + RECORD_USEC);
}

static bool tell(struct refused_user *user, bool named, struct recorder *recorder)
{
	char who[64] = "clients that nobody knows, or users beyond those told apart";

	if (user->untold == 0)
		return true;
	if (named)
		(void)snprintf(who, sizeof(who), "uid %u", user->uid);
	record_begin(recorder, LOG_NOTICE, MESSAGE_ID_REFUSED_MORE);
	record_format(recorder, "MESSAGE", "%" PRIu64 " more files were refused to %s, too fast for a record of each",
		      user->untold, who);
	record_number(recorder, "PORTERD_REFUSED", (int64_t)user->untold);
	if (named)
		record_number(recorder, "PORTERD_CLIENT_UID", user->uid);
	if (!record_try(recorder))
		return false;
	user->untold = 0;
	return true;
}

bool refusals_tell(struct refusals *refusals, struct recorder *recorder)
{
	for (size_t i = 0; i < ELEMENTSOF(refusals->users); i++)
		if (!tell(&refusals->users[i], true, recorder))
			return false;
	return tell(&refusals->others, false, recorder);
}
