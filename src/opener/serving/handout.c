/* SPDX-License-Identifier: MIT
 *
 * The files that one request asks for.
 */
#include "opener/serving/handout.h"

#include "base/clock.h"
#include "opener/deciding/decide.h"
#include "opener/opening/open.h"
#include "opener/serving/audit.h"

#define REASON_UNKNOWN "the policy has no such file"
#define REASON_UNRECORDED "the journal takes no records, without which it may not be opened"
#define REASON_ANOTHER "another file of the same request was refused"

void handout_init(struct handout *handout, struct request_service *service, const char (*labels)[OPENER_LABEL_SIZE])
{
	handout->service = service;
	handout->labels = labels;
	handout->count = 0;
	handout->granted = false;
	handout->refused = 0;
	places_init(&handout->places, &service->mount);
}

/* --- recording ---------------------------------------------------------------------------------------------- */

static bool is_repeated(const struct handout *handout, uint32_t index)
{
	const char *label = handout->labels[index];

	/* Most differ in what a word holds, and there may be thousands of pairs. */
	for (uint32_t i = 0; i < index; i++)
		if (memcmp(handout->labels[i], label, sizeof(uint64_t)) == 0 && strcmp(handout->labels[i], label) == 0)
			return true;
	return false;
}

/* One small request must not fill the journal: a name that it repeats is counted, and recorded once, but for
 * the one that the answer is about. */
static bool is_to_be_recorded(const struct handout *handout, uint32_t index)
{
	return (!handout->granted && handout->refused == index) || !is_repeated(handout, index);
}

static struct audit_entry audit_entry_of(const struct handout *handout, uint32_t index, bool granted)
{
	const struct handout_file *file = &handout->files[index];

	return (struct audit_entry){
		.file = handout->labels[index],
		.grant = file->grant,
		.client = &handout->client->identity,
		.opened = &file->opened,
		.granted = granted,
		.reason = file->reason,
	};
}

static void record_granted(struct handout *handout, uint32_t index)
{
	struct audit_entry entry = audit_entry_of(handout, index, true);

	handout->service->granted++;
	if (!handout->files[index].recorded && is_to_be_recorded(handout, index))
		audit_record(handout->service->recorder, &entry);
}

/* Neither must many requests that nobody has granted anything to; but the journal must not keep as granted what was
 * not. */
static void record_refused(struct handout *handout, uint32_t index)
{
	struct request_service *service = handout->service;
	const struct identity *client = &handout->client->identity;
	struct audit_entry entry = audit_entry_of(handout, index, false);
	uint64_t now = clock_now_usec();
	struct refused_user *user = client->known & IDENTITY_CREDENTIALS
					    ? refusals_find(service->refusals, client->uid, now)
					    : &service->refusals->others;

	service->refused++;
	if (!handout->files[index].recorded &&
	    (!refused_user_may_record(user, now) || !is_to_be_recorded(handout, index)))
		return;
	refused_user_recorded(user, now);
	audit_record(service->recorder, &entry);
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static void file_init(struct handout *handout, uint32_t index)
{
	struct handout_file *file = &handout->files[index];

	opened_init(&file->opened);
	file->recorded = false;
	file->grant = policy_find(handout->service->policy, handout->labels[index]);
}

/* By name and policy alone. */
static enum opener_result decide_file(struct handout *handout, uint32_t index)
{
	struct handout_file *file = &handout->files[index];
	struct decision decision;

	file_init(handout, index);
	if (!file->grant) {
		file->reason = REASON_UNKNOWN;
		return file->opened.result = OPENER_UNKNOWN_FILE;
	}
	decision = decide(file->grant, &handout->client->identity, handout->client->alive);
	file->reason = decision.reason;
	return file->opened.result = decision.permitted ? OPENER_OK : OPENER_NOT_PERMITTED;
}

/* The copy of the same file that this request has made already, NULL if there is none. */
static const struct handout_file *find_copy(const struct handout_file *files, uint32_t index)
{
	for (uint32_t i = 0; files[index].grant->copy && i < index; i++)
		if (files[i].grant == files[index].grant)
			return &files[i];
	return NULL;
}

/* Copies are memory of ours that the client decides how long to keep, and a name that is asked for 253 times
 * is no reason to make 253 of them. */
static enum opener_result open_file(struct handout *handout, uint32_t index, size_t *copied)
{
	const struct identity *client = &handout->client->identity;
	const struct grant *grant = handout->files[index].grant;
	const struct handout_file *first = find_copy(handout->files, index);
	struct opened *opened = &handout->files[index].opened;
	int r;

	if (first)
		return open_copy_again(&first->opened, opened);
	if (open_grant(grant, client, &handout->places, opened) != OPENER_OK || !grant->copy)
		return opened->result;
	*copied += opened->copied;
	if (*copied > OPEN_COPIES_MAX)
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "the copies of one request may not have more "
				     "than %zu bytes together", OPEN_COPIES_MAX);
	r = copies_add(handout->service->copies, client->uid, opened->fd, opened->copied);
	if (r == -EDQUOT)
		return opened_refuse(opened, OPENER_BUSY, "copies that were given out before are still open");
	if (r < 0)
		return opened_refuse(opened, OPENER_BUSY, "its copy can't be watched: %s", strerror(-r));
	return OPENER_OK;
}

/* Decides on all before any is opened; then opens one after the other. Returns how many went well before the
 * first refusal, or all. */
static uint32_t try_all(struct handout *handout)
{
	struct handout_file *files = handout->files;
	uint32_t count = handout->count, first_refused = count;
	size_t copied = 0;

	for (uint32_t i = count; i > 0; i--)
		if (decide_file(handout, i - 1) != OPENER_OK)
			first_refused = i - 1;

	for (uint32_t i = 0; first_refused == count && i < count; i++)
		if (open_file(handout, i, &copied) != OPENER_OK) {
			files[i].reason = files[i].opened.reason;
			first_refused = i;
		}
	return first_refused;
}

/* Records first what may only be granted with a record. All files are open, and nobody has them yet. Returns how
 * many are to be granted: all, or those before the first that found no room in the journal, whose records say so
 * although none is granted then; what follows says that, or is counted as dropped. */
static uint32_t record_required(struct handout *handout)
{
	for (uint32_t i = 0; i < handout->count; i++) {
		struct handout_file *file = &handout->files[i];
		struct audit_entry entry = audit_entry_of(handout, i, true);

		if (!file->grant->audit_required || is_repeated(handout, i))
			continue;
		if (!audit_try(handout->service->recorder, &entry)) {
			handout->service->unrecorded++;
			file->opened.result = OPENER_BUSY;
			file->reason = REASON_UNRECORDED;
			return i;
		}
		file->recorded = true;
	}
	return handout->count;
}

void handout_open(struct handout *handout, uint32_t count)
{
	handout->count = count;
	handout->refused = try_all(handout);
	if (handout->refused == count)
		handout->refused = record_required(handout);
	handout->granted = handout->refused == count;
}

void handout_refuse(struct handout *handout, uint32_t count, enum opener_result result, const char *reason)
{
	handout->count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct handout_file *file = &handout->files[i];

		file_init(handout, i);
		file->opened.result = result;
		file->reason = reason;
	}
}

enum opener_result handout_check(struct handout *handout)
{
	struct handout_file *file = &handout->files[0];

	if (decide_file(handout, 0) == OPENER_OK &&
	    open_check(file->grant, &handout->client->identity, &handout->places, &file->opened) != OPENER_OK)
		file->reason = file->opened.reason;
	return file->opened.result;
}

void handout_take(struct handout *handout, struct fdset *ret)
{
	for (uint32_t i = 0; i < handout->count; i++)
		(void)fdset_add(ret, TAKE_FD(handout->files[i].opened.fd));
}

void handout_withdraw(struct handout *handout, const char *reason)
{
	if (!handout->granted)
		return;
	handout->granted = false;
	handout->refused = 0;
	handout->files[0].opened.result = OPENER_BUSY;
	handout->files[0].reason = reason;
}

void handout_finish(struct handout *handout)
{
	record_hold(handout->service->recorder);
	for (uint32_t i = 0; i < handout->count; i++) {
		struct handout_file *file = &handout->files[i];

		if (!handout->granted && file->opened.result == OPENER_OK)
			file->reason = REASON_ANOTHER;
		opened_clear(&file->opened);
		if (handout->granted)
			record_granted(handout, i);
		else
			record_refused(handout, i);
	}
	record_release(handout->service->recorder);
}
