/* SPDX-License-Identifier: MIT
 *
 * The benchmark: porterd beside the bare system calls, and Unix sockets beside the other ways from one process to
 * another. Runs without privileges; starts the programs by itself.
 */
#pragma once

#include <stdbool.h>

struct bench_options {
	const char *pattern;  /* as for fnmatch(3): which cases; NULL: all */
	double seconds;	      /* how long each is measured */
	bool json;	      /* on stdout, in place of the tables */
	const char *plot;     /* a file for the plot as SVG; NULL: none */
	const char *porterd, *opener, *empty; /* paths of the programs */
};

/* How long a case is measured unless told otherwise. */
#define BENCH_SECONDS 5.0

enum bench_end {
	BENCH_DONE,    /* everything was measured, whatever the results */
	BENCH_FAILED,  /* a case could not be measured, or what came back was wrong */
	BENCH_NO_CASE, /* the pattern fits none; nothing was printed */
};

/* Measures, with a progress line on a terminal's stderr, and prints what came out. */
enum bench_end bench_run(const struct bench_options *options);

/* Prints the names of the cases to stderr. */
void bench_print_cases(void);
