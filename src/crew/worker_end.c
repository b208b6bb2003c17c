/* SPDX-License-Identifier: MIT
 *
 * How a worker ended, and the record of it.
 */
#include "crew/worker_end.h"

#include <inttypes.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "record/message_id.h"
#include "record/record.h"

bool worker_end_is_failure(const struct worker_end *end)
{
	return end->info->si_code != CLD_EXITED || end->info->si_status != 0;
}

static void describe(const struct worker_end *end, char *text, size_t size)
{
	int status = end->info->si_status;

	if (end->silence_usec > 0)
		(void)snprintf(text, size, "gave no sign of life for %" PRIu64 " s and was killed",
			       (end->silence_usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
	else if (end->info->si_code == CLD_EXITED)
		(void)snprintf(text, size, "ended with status %d", status);
	else
		(void)snprintf(text, size, "was killed by signal %d (%s)", status, strsignal(status));
}

void worker_end_record(const struct worker_end *end, struct recorder *recorder, const char *then)
{
	char what[128];

	describe(end, what, sizeof(what));
	record_begin(recorder, worker_end_is_failure(end) ? LOG_ERR : LOG_INFO, MESSAGE_ID_WORKER_ENDED);
	record_format(recorder, "MESSAGE", "Worker %zu (process %d) %s, with %" PRIu64 " connections; %s", end->worker,
		      (int)end->info->si_pid, what, end->connections, then);
	record_number(recorder, "PORTERD_WORKER", (int64_t)end->worker);
	record_number(recorder, "PORTERD_WORKER_PID", end->info->si_pid);
	record_number(recorder, "PORTERD_WORKER_FAILURES", end->failures);
	(void)record_submit(recorder);
}
