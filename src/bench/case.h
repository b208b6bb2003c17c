/* SPDX-License-Identifier: MIT
 *
 * What is measured: the table of cases, and what comes out of each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "bench/side.h"

/* What a case's numbers mean. */
enum case_kind {
	CASE_RATE,   /* two sides; operations a second, more is better */
	CASE_START,  /* two programs; time from exec to READY=1, less is better */
	CASE_MEMORY, /* porterd alone; kilobytes, and bytes a connection */
};

struct bench_case {
	const char *name;
	const char *title;
	const char *against;
	enum case_kind kind;
	const char *unit; /* what is counted: messages, calls, ... */

	/* What it should reach; 0: nothing. */
	double reach;	     /* the median ratio of porterd to the other: at least, for CASE_START at most */
	double reach_cpu;    /* the ratio of the CPU times for each byte, at most */
	const char *base;    /* another case's name: CPU time for each operation may be at most */
	double reach_growth; /*   so many times as high as there */

	const char *service; /* what porterd speaks: the fd's name */
	int type;	     /* of its socket */
	struct shape shape;
	struct shape other; /* the other side's, if it differs (streams > 0) */
	const struct load *load;
	side_start porterd, bare;
	const char *config; /* porterd.conf */
};

/* One side's figures: rates and CPU time are medians of the rounds, quantiles are over all rounds. */
struct figures {
	double rate;		/* operations a second */
	double bytes;		/* content a second */
	double server_nsec;	/* CPU time for each operation */
	double server_per_gib;	/* seconds of CPU time for a GiB */
	uint64_t p50, p99, p999; /* nanoseconds */
};

struct result {
	const struct bench_case *bench;
	int error;		/* negative (-errno): why it could not be measured */
	const char *failed;	/* the side that failed */
	const char *not_run;	/* the program that could not be run; NULL: it was another error */
	const char *remedy;	/* what to do about that */
	unsigned rounds;
	struct figures sides[2]; /* porterd, the other */
	double ratio;		 /* median of the rounds' ratios */
	double ratio_cpu;	 /* the same for the CPU time for each byte */
	double growth;		 /* of CPU time for each operation, against the base; 0: the base was not measured */
	double pss_kb, bytes_each; /* CASE_MEMORY */
	bool reached;
};

extern const struct bench_case bench_cases[];
extern const size_t n_bench_cases;

/* The limits of CASE_MEMORY. */
#define MEMORY_PSS_KB 2048.0
#define MEMORY_BYTES_EACH 256.0
