/* SPDX-License-Identifier: MIT
 *
 * A run of the benchmark: which cases, in a directory of its own, and what becomes of the results.
 */
#include "bench/bench.h"

#include <fnmatch.h>

#include "base/macro.h"
#include "bench/compare.h"
#include "bench/interruption.h"
#include "bench/report.h"

struct run {
	const struct bench_options *options;
	struct world world;
	struct result *results;
	size_t n_results;
	struct transport_result *transports;
	size_t n_transports;
};

static bool show_progress;

static void progress(const char *title, unsigned round, unsigned rounds)
{
	/* The line is written over by the next one. */
	if (show_progress)
		(void)fprintf(stderr, "\r\033[K%s: %u of %u", title, round, rounds);
}

static void progress_end(void)
{
	if (show_progress)
		(void)fprintf(stderr, "\r\033[K");
}

static bool is_wanted(const struct run *run, const char *name)
{
	return !run->options->pattern || fnmatch(run->options->pattern, name, 0) == 0;
}

void bench_print_cases(void)
{
	for (size_t i = 0; i < n_bench_cases; i++)
		(void)fprintf(stderr, "%-16s %s\n", bench_cases[i].name, bench_cases[i].title);
	for (size_t i = 0; i < n_transports; i++)
		(void)fprintf(stderr, "%-16s %s, by itself\n", transports[i].name, transports[i].title);
}

static bool measure_cases(struct run *run)
{
	bool good = true;

	for (size_t i = 0; i < n_bench_cases && !interrupted(); i++) {
		struct compare compare = {
			.world = &run->world,
			.seconds = run->options->seconds,
			.results = run->results,
			.n_results = run->n_results,
			.progress = progress,
		};
		struct result *result = &run->results[run->n_results];

		if (!is_wanted(run, bench_cases[i].name))
			continue;
		compare_run(&compare, &bench_cases[i], result);
		run->n_results++;
		progress_end();
		if (result->error < 0) {
			report_failure(result);
			good = false;
		}
	}
	return good;
}

static bool measure_transports(struct run *run)
{
	bool good = true;

	if (interrupted())
		return true;
	for (size_t i = 0; i < n_transports; i++)
		if (is_wanted(run, transports[i].name))
			run->transports[run->n_transports++].transport = &transports[i];
	if (run->n_transports == 0)
		return true;
	if (transports_run(run->transports, run->n_transports, &run->world.places, run->world.directory,
			   run->options->seconds, progress) < 0)
		return false;
	progress_end();
	for (size_t i = 0; i < run->n_transports; i++)
		if (run->transports[i].error < 0) {
			report_error(run->transports[i].transport->name, run->transports[i].error);
			good = false;
		}
	return good;
}

static bool print_report(const struct run *run)
{
	struct report report = {
		.results = run->results,
		.n_results = run->n_results,
		.transports = run->transports,
		.n_transports = run->n_transports,
		.places = run->world.places,
		.seconds = run->options->seconds,
	};
	int r = 0;

	if (run->options->json)
		r = report_json(&report, stdout);
	else
		report_text(&report, stdout);
	if (r >= 0 && run->options->plot)
		r = report_plot(&report, run->options->plot);
	if (r < 0)
		report_error("the report", r);
	return r >= 0;
}

static bool any_is_wanted(const struct run *run)
{
	for (size_t i = 0; i < n_bench_cases; i++)
		if (is_wanted(run, bench_cases[i].name))
			return true;
	for (size_t i = 0; i < n_transports; i++)
		if (is_wanted(run, transports[i].name))
			return true;
	return false;
}

enum bench_end bench_run(const struct bench_options *options)
{
	struct run run = {
		.options = options,
		.world = { .porterd = options->porterd, .opener = options->opener, .empty = options->empty },
	};
	bool good;
	int r;

	if (!any_is_wanted(&run))
		return BENCH_NO_CASE;
	run.results = calloc(n_bench_cases, sizeof(*run.results));
	run.transports = calloc(n_transports, sizeof(*run.transports));
	r = run.results && run.transports ? places_choose(&run.world.places) : -ENOMEM;
	if (r >= 0)
		r = place_bind(run.world.places.client);
	if (r >= 0)
		r = world_open(&run.world);
	good = r >= 0;
	if (r < 0) {
		report_error("the bench", r);
	} else {
		interruption_catch();
		show_progress = isatty(STDERR_FILENO);
		good = measure_cases(&run);
		good = measure_transports(&run) && good && !interrupted();
		good = print_report(&run) && good;
		world_close(&run.world);
	}
	free(run.results);
	free(run.transports);
	return good ? BENCH_DONE : BENCH_FAILED;
}
