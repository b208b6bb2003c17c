/* SPDX-License-Identifier: MIT
 *
 * What porterd counts and tells systemd (STATUS=).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct server;

enum status_kind {
	STATUS_CONNECTIONS, /* that are open */
	STATUS_ACCEPTED,
	STATUS_REQUESTS,
	STATUS_MALFORMED,
	STATUS_UNBOUND,
	STATUS_UNATTESTED,
	STATUS_UNDELIVERABLE,
	STATUS_OVERSIZED,
	STATUS_OVER_QUOTA,
	STATUS_LATE,
	STATUS_DROPPED_RECORDS,
	STATUS_KINDS,
};

struct status {
	uint64_t values[STATUS_KINDS];
};

/* What the server counts now. */
void status_take(struct status *status, const struct server *server);

/* Tells systemd; `more` is appended: "" or ", key: value". */
void status_tell(const struct status *status, const char *more);
