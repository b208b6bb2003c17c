/* SPDX-License-Identifier: MIT
 *
 * What the service manager and the journal are told of the opener.
 */
#include "opener/serving/status.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "record/message_id.h"

#define STATUS_USEC USEC_PER_SEC

/* The journal can't be told while it is what is amiss, the service manager can. */
static void tell_manager(struct status *status, const char *state)
{
	const struct request_service *service = status->service;
	const char *ready = status->ready_untold ? "READY=1\n" : "";
	char text[sizeof(status->told)], unrecorded[48] = "";

	if (service->unrecorded > 0)
		(void)snprintf(unrecorded, sizeof(unrecorded), ", unrecorded: %" PRIu64, service->unrecorded);
	(void)snprintf(text, sizeof(text),
		       "connections: %zu, requests: %" PRIu64 ", granted: %" PRIu64 ", refused: %" PRIu64
		       ", dropped-records: %" PRIu64 ", files: %zu%s",
		       service->connections, service->requests, service->granted, service->refused,
		       recorder_counts(service->recorder).dropped, service->policy->n_granted, unrecorded);
	if (state[0] == '\0' && ready[0] == '\0' && strcmp(text, status->told) == 0)
		return;
	memcpy(status->told, text, sizeof(text));
	if (sd_notifyf(0, "%s%sSTATUS=%s", state, ready, text) >= 0)
		status->ready_untold = false;
}

/* What was refused because there was no record of it, once there can be one. False if that is not yet. */
static bool tell_unrecorded(struct status *status)
{
	struct recorder *recorder = status->service->recorder;
	uint64_t untold = status->service->unrecorded - status->unrecorded_told;

	if (untold == 0)
		return true;
	record_begin(recorder, LOG_WARNING, MESSAGE_ID_UNRECORDED);
	record_format(recorder, "MESSAGE", "%" PRIu64 " requests were refused, because the journal took no "
		      "records and the policy has AuditRequired=yes", untold);
	record_number(recorder, "PORTERD_REFUSED", (int64_t)untold);
	if (!record_try(recorder))
		return false;
	status->unrecorded_told += untold;
	return true;
}

bool status_tell_journal(struct status *status)
{
	return recorder_flush(status->service->recorder) && tell_unrecorded(status) &&
	       refusals_tell(status->service->refusals, status->service->recorder);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct status *status = data;
	bool kept = clients_sweep(status->service->clients), held = copies_sweep(status->service->copies);

	(void)source;
	(void)usec;
	status->due = false;
	tell_manager(status, "");
	if (!status_tell_journal(status) || kept || held || status->ready_untold)
		status_changed(status);
	return 0;
}

int status_open(struct status *status, struct loop *loop, struct request_service *service)
{
	status->loop = loop;
	status->service = service;
	return loop_timer_new(loop->event, &status->timer, on_timer, status);
}

void status_close(struct status *status)
{
	sd_event_source_disable_unref(status->timer);
}

void status_changed(struct status *status)
{
	if (status->due)
		return;
	status->due = true;
	loop_arm(status->loop, status->timer, STATUS_USEC);
}

/* What the manager does not hear is told again: it would wait for it, and at last give up. */
void status_tell_ready(struct status *status)
{
	status->ready_untold = true;
	tell_manager(status, "");
	if (status->ready_untold)
		status_changed(status);
}

void status_tell_reloading(void)
{
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
}

void status_tell_stopping(struct status *status)
{
	status->ready_untold = false;
	tell_manager(status, "STOPPING=1\n");
}
