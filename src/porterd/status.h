/* SPDX-License-Identifier: MIT
 *
 * What porterd counts, as systemd and `porterctl status` see it (STATUS=).
 */
#pragma once

#include "serve/counts.h"

/* Tells systemd; `more` is appended: "" or ", key: value". */
void status_tell(const struct counts *counts, const char *more);
