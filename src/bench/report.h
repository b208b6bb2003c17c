/* SPDX-License-Identifier: MIT
 *
 * What is printed of the results.
 */
#pragma once

#include <stdio.h>

#include "bench/case.h"
#include "bench/transport.h"

/* Everything that was measured. */
struct report {
	const struct result *results;
	size_t n_results;
	const struct transport_result *transports;
	size_t n_transports;
	struct places places;
	double seconds;
};

/* Says on stderr why a case has no result. */
void report_failure(const struct result *result);

/* Says on stderr what else went wrong, and with what. */
void report_error(const char *name, int error);

/* Tables for people. */
void report_text(const struct report *report, FILE *out);

/* One JSON object. */
int report_json(const struct report *report, FILE *out);

/* A plot of all results as SVG. -errno if it can't be written. */
int report_plot(const struct report *report, const char *path);
