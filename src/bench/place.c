/* SPDX-License-Identifier: MIT
 *
 * Which CPU the server runs on, and which the client.
 */
#include "bench/place.h"

#include <sched.h>

#include "base/macro.h"

/* The lowest-numbered CPU of the core that this one belongs to. */
static int first_of_core(int cpu)
{
	_cleanup_(cleanup_file) FILE *file = NULL;
	char path[96];
	int first = cpu;

	(void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
	file = fopen(path, "re");
	return file && fscanf(file, "%d", &first) == 1 ? first : cpu;
}

int places_choose(struct places *ret)
{
	cpu_set_t allowed;
	int fallback = -1;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;

	*ret = (struct places){ .server = -1, .client = -1 };
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET((size_t)cpu, &allowed))
			continue;
		if (ret->server < 0) {
			ret->server = cpu;
			continue;
		}
		fallback = cpu;
		if (first_of_core(cpu) != first_of_core(ret->server)) {
			ret->client = cpu;
			break;
		}
	}
	if (ret->server < 0)
		return -ENODEV;
	if (ret->client < 0)
		ret->client = fallback >= 0 ? fallback : ret->server;
	return 0;
}

int place_bind(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}
