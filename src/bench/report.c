/* SPDX-License-Identifier: MIT
 *
 * The results as tables, and as JSON.
 */
#include "bench/report.h"

#include <jansson.h>

#include "base/macro.h"

#define MIB 1048576.0
#define USEC(nsec) ((double)(nsec) / 1000.0)

static const char *error_text(int error)
{
	switch (-error) {
	case EBADMSG:
		return "what came back is not what was sent";
	case ENOEXEC:
		return "it did not start, or ended before it was ready";
	case EPIPE:
		return "it closed the connection";
	case EMFILE:
		return "more descriptors are needed than this process may have (ulimit -Hn)";
	case EINTR:
		return "it was interrupted";
	default:
		return strerror(-error);
	}
}

void report_error(const char *name, int error)
{
	(void)fprintf(stderr, "%s: %s\n", name, error_text(error));
}

/* Why a case has no result. The caller frees it; NULL: no memory. */
static char *failure_text(const struct result *result)
{
	char *text;

	if (!result->not_run)
		return strdup(error_text(result->error));
	return asprintf(&text, "can't run %s: %s. %s", result->not_run, strerror(-result->error), result->remedy) < 0
		       ? NULL
		       : text;
}

static void print_failure(const struct result *result, FILE *out)
{
	_cleanup_free_ char *text = failure_text(result);

	(void)fprintf(out, "%s%s%s\n", result->failed ? result->failed : "", result->failed ? ": " : "",
		      text ? text : strerror(ENOMEM));
}

void report_failure(const struct result *result)
{
	(void)fprintf(stderr, "%s: ", result->bench->name);
	print_failure(result, stderr);
}

/* Tables */

static const char *verdict(const struct result *result)
{
	if (result->error < 0)
		return "failed";
	if (result->bench->kind != CASE_MEMORY && result->bench->reach <= 0)
		return "";
	return result->reached ? "reached" : "BELOW";
}

static void format_figure(double value, char *buffer, size_t size)
{
	if (value >= 1e6)
		(void)snprintf(buffer, size, "%.2f M", value / 1e6);
	else if (value >= 1e4)
		(void)snprintf(buffer, size, "%.1f k", value / 1e3);
	else
		(void)snprintf(buffer, size, "%.0f", value);
}

static void print_rates(const struct result *result, FILE *out)
{
	const struct bench_case *bench = result->bench;
	char reach[16] = "-";

	if (bench->reach > 0)
		(void)snprintf(reach, sizeof(reach), "%s %.2f", bench->kind == CASE_START ? "<=" : ">=",
			       bench->reach);
	(void)fprintf(out, "%s%s%s\n  against: %s; ratio %.3f (%s)\n", bench->title, *verdict(result) ? ": " : "",
		      verdict(result), bench->against, result->ratio, reach);
	if (bench->reach_cpu > 0)
		(void)fprintf(out, "  CPU time a GiB: %.3f of the other's (<= %.2f)\n", result->ratio_cpu,
			      bench->reach_cpu);
	if (bench->base && result->growth > 0)
		(void)fprintf(out, "  CPU time each: %.2f times that of %s (<= %.2f)\n", result->growth, bench->base,
			      bench->reach_growth);
	else if (bench->base)
		(void)fprintf(out, "  CPU time each: measure %s in the same run to compare\n", bench->base);
	for (size_t i = 0; i < 2; i++) {
		const struct figures *side = &result->sides[i];
		char rate[32];

		format_figure(side->rate, rate, sizeof(rate));
		(void)fprintf(out, "  %-8s %10s %s/s  p50 %8.1f  p99 %8.1f  p99.9 %8.1f us  CPU %7.2f us each",
			      i == 0 ? "porterd" : "other", rate, bench->unit, USEC(side->p50), USEC(side->p99),
			      USEC(side->p999), side->server_nsec / 1000);
		if (bench->reach_cpu > 0)
			(void)fprintf(out, ", %.3f s a GiB", side->server_per_gib);
		(void)fprintf(out, "\n");
	}
}

static void print_case(const struct result *result, FILE *out)
{
	if (result->error < 0) {
		(void)fprintf(out, "%s\n  failed: ", result->bench->title);
		print_failure(result, out);
		return;
	}
	if (result->bench->kind == CASE_MEMORY)
		(void)fprintf(out, "%s: %s\n  PSS %.0f KiB (<= %.0f), %.0f bytes a connection (<= %.0f)\n",
			      result->bench->title, verdict(result), result->pss_kb, MEMORY_PSS_KB, result->bytes_each,
			      MEMORY_BYTES_EACH);
	else
		print_rates(result, out);
}

static void print_transports(const struct report *report, FILE *out)
{
	(void)fprintf(out, "\n%-22s %12s %9s %9s %14s\n", "between two processes", "64 B, there", "", "",
		      "64 KiB, one way");
	(void)fprintf(out, "%-22s %9s us %9s %9s %10s MiB/s\n", "", "and back p50", "p99", "p99.9", "");
	for (size_t i = 0; i < report->n_transports; i++) {
		const struct transport_result *result = &report->transports[i];

		if (result->error < 0)
			(void)fprintf(out, "%-22s failed: %s\n", result->transport->title,
				      error_text(result->error));
		else
			(void)fprintf(out, "%-22s %12.1f %9.1f %9.1f %16.0f\n", result->transport->title,
				      USEC(result->p50), USEC(result->p99), USEC(result->p999),
				      result->bytes / MIB);
	}
}

void report_text(const struct report *report, FILE *out)
{
	(void)fprintf(out, "server on CPU %d, client on CPU %d%s, %.1f s a case\n\n", report->places.server,
		      report->places.client, report->places.server == report->places.client ? " (the only one)" : "",
		      report->seconds);
	for (size_t i = 0; i < report->n_results; i++)
		print_case(&report->results[i], out);
	if (report->n_transports > 0)
		print_transports(report, out);
}

/* JSON */

static json_t *figures_to_json(const struct figures *figures)
{
	return json_pack("{s:f,s:f,s:f,s:f,s:I,s:I,s:I}", "rate", figures->rate, "bytesPerSecond", figures->bytes,
			 "serverNsecEach", figures->server_nsec, "serverSecondsPerGiB", figures->server_per_gib,
			 "p50Nsec", (json_int_t)figures->p50, "p99Nsec", (json_int_t)figures->p99, "p999Nsec",
			 (json_int_t)figures->p999);
}

static json_t *result_to_json(const struct result *result)
{
	const struct bench_case *bench = result->bench;
	json_t *object = json_pack("{s:s,s:s,s:i}", "case", bench->name, "title", bench->title, "rounds",
				   (int)result->rounds);

	if (result->error < 0) {
		_cleanup_free_ char *text = failure_text(result);

		(void)json_object_set_new(object, "error", json_string(text));
		(void)json_object_set_new(object, "failed", json_string(result->failed ? result->failed : "bench"));
		return object;
	}
	if (bench->kind == CASE_MEMORY) {
		(void)json_object_update_new(object, json_pack("{s:f,s:f,s:f,s:f}", "pssKiB", result->pss_kb,
							       "pssKiBReach", MEMORY_PSS_KB, "bytesEach",
							       result->bytes_each, "bytesEachReach",
							       MEMORY_BYTES_EACH));
	} else {
		(void)json_object_update_new(object, json_pack("{s:s,s:s,s:f,s:f,s:o,s:o}", "against",
							       bench->against, "unit", bench->unit, "ratio",
							       result->ratio, "reach", bench->reach, "porterd",
							       figures_to_json(&result->sides[0]), "other",
							       figures_to_json(&result->sides[1])));
		if (bench->reach_cpu > 0)
			(void)json_object_update_new(object, json_pack("{s:f,s:f}", "cpuRatio", result->ratio_cpu,
								       "cpuReach", bench->reach_cpu));
		if (result->growth > 0)
			(void)json_object_update_new(object, json_pack("{s:f,s:f}", "cpuGrowth", result->growth,
								       "cpuGrowthReach", bench->reach_growth));
	}
	if (bench->kind == CASE_MEMORY || bench->reach > 0)
		(void)json_object_set_new(object, "reached", json_boolean(result->reached));
	return object;
}

static json_t *transport_to_json(const struct transport_result *result)
{
	if (result->error < 0)
		return json_pack("{s:s,s:s}", "transport", result->transport->name, "error",
				 error_text(result->error));
	return json_pack("{s:s,s:s,s:I,s:I,s:I,s:f}", "transport", result->transport->name, "title",
			 result->transport->title, "p50Nsec", (json_int_t)result->p50, "p99Nsec",
			 (json_int_t)result->p99, "p999Nsec", (json_int_t)result->p999, "bytesPerSecond",
			 result->bytes);
}

int report_json(const struct report *report, FILE *out)
{
	json_t *cases = json_array(), *others = json_array(), *object;
	int r;

	for (size_t i = 0; i < report->n_results; i++)
		(void)json_array_append_new(cases, result_to_json(&report->results[i]));
	for (size_t i = 0; i < report->n_transports; i++)
		(void)json_array_append_new(others, transport_to_json(&report->transports[i]));
	object = json_pack("{s:s,s:i,s:i,s:f,s:o,s:o}", "version", PACKAGE_VERSION, "serverCpu",
			   report->places.server, "clientCpu", report->places.client, "secondsPerCase",
			   report->seconds, "cases", cases, "transports", others);
	if (!object)
		return -ENOMEM;
	r = json_dumpf(object, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	json_decref(object);
	return r < 0 || fputc('\n', out) == EOF ? -EIO : 0;
}
