/* SPDX-License-Identifier: MIT
 *
 * Reading the policy, and telling of it.
 */
#include "opener/serving/reload.h"

#include "record/message_id.h"

static void on_error(const struct policy_error *error, void *data)
{
	struct recorder *recorder = data;

	record_begin(recorder, LOG_ERR, MESSAGE_ID_POLICY_ERROR);
	record_field(recorder, "MESSAGE", error->message);
	record_field(recorder, "CONFIG_FILE", error->file);
	if (error->line > 0)
		record_number(recorder, "CONFIG_LINE", error->line);
	(void)record_submit(recorder);
}

int policy_renew(struct policy **policy, const struct policy_source *source, struct recorder *recorder)
{
	_cleanup_(cleanup_policy) struct policy *read = NULL;
	char counts[POLICY_COUNTS_SIZE];
	int r = policy_load(&read, source, on_error, recorder);

	if (*policy && (r < 0 || read->n_errors > 0)) {
		record_event(recorder, LOG_ERR, MESSAGE_ID_POLICY_ERROR, "The policy was not changed, because %s",
			     r < 0 ? strerror(-r) : "what was read has errors");
		return r < 0 ? r : -EBADMSG;
	}
	if (r < 0)
		return r;

	policy_free(*policy);
	*policy = TAKE_POINTER(read);
	policy_write_counts(*policy, counts);
	record_event(recorder, LOG_INFO, MESSAGE_ID_POLICY_LOADED, "The policy was read: %s", counts);
	return 0;
}
