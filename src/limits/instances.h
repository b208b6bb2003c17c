/* SPDX-License-Identifier: MIT
 *
 * Accept=yes: how many clients of one user systemd has given a process of their own. Since version 256 systemd counts
 * that by itself (MaxConnectionsPerSource=); before, a local socket's clients all count for nobody.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the name of such a unit says: "NAME@NUMBER-PID-UID.service", where newer systemd has more behind the pid. */
struct instance {
	const char *name; /* points into the unit's */
	size_t name_length;
	uint64_t number; /* it counts up */
	uid_t uid;
};

/* False: no such unit, or of a client whom the kernel did not name. */
bool instance_parse(struct instance *ret, const char *unit);

/* How many of the same name and user run beside it that came before it: counted in the directory of their slice's
 * cgroup. Those that come later don't matter, so of many that start at once the first ones stay. -errno. */
int instance_count_earlier(const struct instance *instance, int slice_fd, size_t *ret);

/* Which one of its user's this process is, from 0 on. 0 as well where nobody can tell, because systemd gave this process
 * another kind of name or its cgroups are not to be seen; and for root, who is not counted, as nowhere (quota.h). `ret`
 * points into *ret_unit, which the caller owns. */
size_t instance_find_own(struct instance *ret, char **ret_unit);

/* Is this process one of so many that its user had first, of those that are there now? Yes, where nobody can tell. So it stays, once
 * it is. */
bool instance_is_among(size_t count);
