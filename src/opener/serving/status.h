/* SPDX-License-Identifier: MIT
 *
 * What the service manager and the journal are told of the opener, beside its records of files.
 */
#pragma once

#include "base/loop.h"
#include "opener/serving/service.h"

/* All zero at first. */
struct status {
	struct loop *loop;
	struct request_service *service;
	sd_event_source *timer;
	bool due; /* the timer is set */
	char told[256]; /* what the service manager knows */
	bool ready_untold; /* it still waits for READY=1 */
	uint64_t unrecorded_told; /* of service.unrecorded */
};

/* 0 or -errno. */
int status_open(struct status *status, struct loop *loop, struct request_service *service);
void status_close(struct status *status);

/* Something of it may have changed: it is told within a second, together with what else changes then. */
void status_changed(struct status *status);

/* Tells the service manager what the opener is about to do, or has done. */
void status_tell_ready(struct status *status);
void status_tell_reloading(void);
void status_tell_stopping(struct status *status);

/* What the journal has not been told yet. False if it does not take it now. */
bool status_tell_journal(struct status *status);
