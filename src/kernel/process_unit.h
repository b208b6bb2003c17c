/* SPDX-License-Identifier: MIT
 *
 * The systemd unit that a process belongs to, as its cgroup says.
 */
#pragma once

#include <sys/types.h>

/* Finds the system unit of a process, whatever /proc this process itself sees: see kernel/host.h. Returns 0 with
 * *ret owned by the caller, -ENXIO for a process in no unit, or -errno. The process may be another by now, unless a
 * pidfd says that it is not. */
int process_unit(pid_t pid, char **ret);

/* The unit of a cgroup, as sd_pid_get_unit(3) would say: the first part of its path that is no slice. `of` and
 * `of_first` are what /proc/PID/cgroup says of the process and of PID 1. Returns as above. */
int process_unit_of_cgroup(const char *of, const char *of_first, char **ret);
