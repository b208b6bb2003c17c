/* SPDX-License-Identifier: MIT
 *
 * What porterd counts and tells systemd.
 */
#include "porterd/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "porterd/server.h"

#define STATUS_TEXT_MAX 1024

static const char *const names[STATUS_KINDS] = {
	[STATUS_CONNECTIONS] = "connections",
	[STATUS_ACCEPTED] = "accepted",
	[STATUS_REQUESTS] = "requests",
	[STATUS_MALFORMED] = "malformed",
	[STATUS_UNBOUND] = "unbound",
	[STATUS_UNATTESTED] = "unattested",
	[STATUS_UNDELIVERABLE] = "undeliverable",
	[STATUS_OVERSIZED] = "oversized",
	[STATUS_OVER_QUOTA] = "over-quota",
	[STATUS_LATE] = "late",
	[STATUS_DROPPED_RECORDS] = "dropped-records",
};

void status_take(struct status *status, const struct server *server)
{
	const struct server_counts *counts = &server->counts;

	*status = (struct status){ .values = {
		[STATUS_CONNECTIONS] = server->n_connections,
		[STATUS_ACCEPTED] = counts->accepted,
		[STATUS_REQUESTS] = counts->requests,
		[STATUS_MALFORMED] = counts->malformed,
		[STATUS_UNBOUND] = counts->unbound,
		[STATUS_UNATTESTED] = counts->unattested,
		[STATUS_UNDELIVERABLE] = counts->undeliverable,
		[STATUS_OVERSIZED] = counts->oversized,
		[STATUS_OVER_QUOTA] = server->quota.refused,
		[STATUS_LATE] = counts->late,
		[STATUS_DROPPED_RECORDS] = recorder_counts(server->recorder).dropped,
	} };
}

void status_tell(const struct status *status, const char *more)
{
	char text[STATUS_TEXT_MAX];
	size_t size = 0;

	/* All numbers at their longest fit. */
	for (enum status_kind kind = 0; kind < STATUS_KINDS; kind++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s: %" PRIu64, kind == 0 ? "" : ", ",
					 names[kind], status->values[kind]);
	(void)sd_notifyf(0, "STATUS=%s%s", text, more);
}
