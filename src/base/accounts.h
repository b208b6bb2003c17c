/* SPDX-License-Identifier: MIT
 *
 * Names of the local account files, /etc/passwd and /etc/group, without NSS: a look-up through NSS may ask a
 * server and wait for it, which nobody who serves requests can do. The files are read again when they change.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* The numbers of users or groups, each given by name or decimal number: ret[i] is that of names[i], or (uint32_t)-1,
 * which is nobody's, where there is no such local name or the file can't be read. The file is
 * looked at once, and no name is searched for from its top. */
void accounts_find_users(const char *const *names, size_t count, uid_t *ret);
void accounts_find_groups(const char *const *names, size_t count, gid_t *ret);
