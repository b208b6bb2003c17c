/* SPDX-License-Identifier: MIT
 *
 * The systemd unit that a process belongs to, as its cgroup says.
 */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

/* Room for what the kernel says of a process's cgroups. A line of it is hardly longer than a path may be, and systemd's
 * is the last. */
#define PROCESS_CGROUP_SIZE (2 * PATH_MAX)

/* Finds the system unit of a process, whatever /proc this process itself sees: see kernel/host.h. Returns 0 with
 * *ret owned by the caller, -ENXIO for a process in no unit, or -errno. The process may be another by now, unless a
 * pidfd says that it is not. */
int process_unit(pid_t pid, char **ret);

/* The same in two steps, for who asks again and again. What was opened stays that process's: when it is gone, reading
 * fails with -ESRCH, whoever has its number then. The first returns an fd, owned by the caller, the second 0 with the
 * text as it is now. */
int process_cgroup_open(pid_t pid);
int process_cgroup_read(int fd, char text[static PROCESS_CGROUP_SIZE]);

/* Which of the hierarchies systemd has its units in. */
enum process_units {
	PROCESS_UNITS_NONE,    /* PID 1 is in no unit, so nobody is */
	PROCESS_UNITS_NAMED,   /* one of its own */
	PROCESS_UNITS_UNIFIED, /* cgroup v2 */
};

/* The unit in such a text; *ret and what is returned as above. *ret_where is set with 0 and -ENXIO. */
int process_cgroup_unit(const char *text, char **ret, enum process_units *ret_where);

/* The number of the process's cgroup in the unified hierarchy, which no other cgroup of this boot has, had or gets; by
 * its pidfd, for a tenth of what reading takes. -ENOTTY and others before Linux 6.13; -ESRCH. */
int process_cgroup_number(int pidfd, uint64_t *ret);

/* This process's own unit, and the directory of the cgroup that holds its and its neighbours': their slice's. Returns
 * the fd, and *ret_unit, both owned by the caller; -ENXIO as above, or -errno. */
int process_slice_open(char **ret_unit);

/* The unit of a cgroup, as sd_pid_get_unit(3) would say: the first part of its path that is no slice. `of` and
 * `of_first` are what /proc/PID/cgroup says of the process and of PID 1. Returns as above. */
int process_unit_of_cgroup(const char *of, const char *of_first, char **ret);
