/* SPDX-License-Identifier: MIT
 *
 * Names of the local account files, /etc/passwd and /etc/group, without NSS: a look-up through NSS may ask a
 * server and wait for it, which nobody who serves requests can do. The files are read again when they change.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* The number of a user or group, given by name or decimal number. -ENOENT: no such local name; -EINVAL: neither
 * a name nor a number; or why the file could not be read. */
int accounts_find_user(const char *name, uid_t *ret);
int accounts_find_group(const char *name, gid_t *ret);
