/* SPDX-License-Identifier: MIT
 *
 * Servers as processes of their own: programs that are started as systemd would, and functions of ours.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How long a program may take until it is ready, and until it has ended. */
#define PROCESS_PATIENCE_NSEC UINT64_C(10000000000)

struct process {
	pid_t pid; /* 0: none */
	uint64_t started_nsec; /* just before exec, by the monotonic clock */
	uint64_t ready_nsec;   /* when its READY=1 came */
	const char *not_run;   /* the program, where exec failed */
};

/* An fd to pass to a program, and its name. */
struct process_socket {
	int fd; /* stays the caller's */
	const char *name;
};

/* How a program is to be started. */
struct process_start {
	const char *const *arguments; /* the first is its path; ends with NULL */
	const struct process_socket *sockets;
	size_t n_sockets;
	int cpu;	    /* where it runs */
	const char *output; /* a file that gets what it prints */
};

/* Starts a program by the protocol of sd_listen_fds(3) and waits for its READY=1 (sd_notify(3)).
 * -ENOEXEC: it ended before it was ready; -ETIMEDOUT: it was not ready in time; another error with process->not_run:
 * exec failed with it. */
int process_start(struct process *process, const struct process_start *start);

/* Runs `serve` in a child, which ends when it returns. */
int process_fork(struct process *process, int cpu, int (*serve)(void *data), void *data);

/* Ends it with SIGTERM, or with SIGKILL if that does not help. */
void process_stop(struct process *process);

/* The CPU time that it has used so far. */
uint64_t process_cpu_nsec(const struct process *process);

/* Kilobytes of one of the fields of /proc/PID/smaps_rollup, for example "Pss:". -errno if it can't be read. */
int64_t process_memory_kb(const struct process *process, const char *field);
