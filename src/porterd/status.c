/* SPDX-License-Identifier: MIT
 *
 * What porterd counts, as systemd sees it.
 */
#include "porterd/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#define STATUS_TEXT_MAX 1024

static const char *const names[COUNT_KINDS] = {
#define COUNT_NAME(name, text) [COUNT_##name] = (text),
	COUNTS(COUNT_NAME)
#undef COUNT_NAME
};

void status_tell(const struct counts *counts, const char *more)
{
	char text[STATUS_TEXT_MAX];
	size_t size = 0;

	/* All numbers at their longest fit. */
	for (enum count count = 0; count < COUNT_KINDS; count++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s: %" PRIu64, count == 0 ? "" : ", ",
					 names[count], counts->of[count]);
	(void)sd_notifyf(0, "STATUS=%s%s", text, more);
}
