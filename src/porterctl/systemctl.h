/* SPDX-License-Identifier: MIT
 *
 * What systemd knows of units, through systemctl.
 */
#pragma once

#include "base/json.h"

/* Asks for `properties` (NAME,NAME...) of the units, an array with NULL at its end. *ret is an object with an
 * object for each unit, which holds the properties as strings; the caller owns it.
 * -ENOENT: there is no systemctl. -EHOSTDOWN: it failed, and has said why on stderr. -EBADMSG: its output is
 * too long or no text. */
int systemctl_show(const char *const *units, const char *properties, json_t **ret);
