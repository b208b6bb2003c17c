/* SPDX-License-Identifier: MIT
 *
 * porterctl bench: how fast the daemon is here, beside the bare system calls. Everything is in src/bench/.
 */
#include "base/macro.h"
#include "bench/bench.h"
#include "porterctl/failure.h"
#include "porterctl/output.h"
#include "porterctl/porterctl.h"

/* The installed programs. */
#define PORTERD_PATH SBINDIR "/porterd"
#define OPENER_PATH LIBEXECDIR "/porterd-opener"
#define EMPTY_PATH LIBEXECDIR "/porterd-bench-empty"

static bool parse_seconds(const char *text, double *ret)
{
	char *end;

	errno = 0;
	*ret = strtod(text, &end);
	return errno == 0 && end != text && *end == '\0' && *ret > 0 && *ret <= 3600;
}

/* In a build tree the empty program lies beside porterd. */
static char *empty_beside(const char *porterd)
{
	const char *slash = strrchr(porterd, '/');
	char *path;

	if (asprintf(&path, "%.*sporterd-bench-empty", slash ? (int)(slash - porterd + 1) : 0, porterd) < 0)
		output_out_of_memory();
	return path;
}

int verb_bench(const struct invocation *invocation)
{
	const struct bench_invocation *given = &invocation->bench;
	struct bench_options options = {
		.pattern = given->pattern,
		.seconds = BENCH_SECONDS,
		.json = invocation->json,
		.plot = given->plot,
		.porterd = given->porterd ? given->porterd : PORTERD_PATH,
		.opener = given->opener ? given->opener : OPENER_PATH,
		.empty = EMPTY_PATH,
	};
	_cleanup_free_ char *beside = given->porterd ? empty_beside(given->porterd) : NULL;

	if (given->duration && !parse_seconds(given->duration, &options.seconds))
		return failure_usage("--duration=%s is not a number of seconds, up to 3600", given->duration);
	if (beside && access(beside, X_OK) == 0)
		options.empty = beside;

	switch (bench_run(&options)) {
	case BENCH_DONE:
		return EXIT_DONE;
	case BENCH_NO_CASE:
		(void)fprintf(stderr, "Cases:\n");
		bench_print_cases();
		return failure_usage("--case=%s fits no case", given->pattern);
	default:
		return EXIT_REFUSED;
	}
}
