/* SPDX-License-Identifier: MIT
 *
 * porter-bench: what `porterctl bench` becomes.
 */
#include <getopt.h>

#include "base/macro.h"
#include "bench/bench.h"

/* As porterctl(1) promises them. */
enum { EXIT_WRONG_USAGE = 2 };

enum option_number {
	OPTION_HELP = 256,
	OPTION_VERSION,
	OPTION_JSON,
	OPTION_CASE,
	OPTION_DURATION,
	OPTION_PLOT,
	OPTION_PORTERD,
	OPTION_OPENER,
};

static const struct option options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "case", required_argument, NULL, OPTION_CASE },
	{ "duration", required_argument, NULL, OPTION_DURATION },
	{ "plot", required_argument, NULL, OPTION_PLOT },
	{ "porterd", required_argument, NULL, OPTION_PORTERD },
	{ "opener", required_argument, NULL, OPTION_OPENER },
	{ NULL, 0, NULL, 0 },
};

/* Ends the line of a message about wrong usage. The help is porterctl's, which is what people call. */
static int wrong_usage(void)
{
	(void)fprintf(stderr, ". Try: porterctl --help\n");
	return EXIT_WRONG_USAGE;
}

static bool parse_seconds(const char *text, double *ret)
{
	char *end;

	errno = 0;
	*ret = strtod(text, &end);
	return errno == 0 && end != text && *end == '\0' && *ret > 0 && *ret <= 3600;
}

/* Returns the exit status, or -1 to go on. */
static int parse_option(struct bench_options *bench, int option)
{
	switch (option) {
	case OPTION_HELP:
		(void)puts("Usage: porter-bench [OPTION]...\n\n"
			   "This is porterctl bench, which takes the same options. See porterctl(1).");
		return EXIT_SUCCESS;
	case OPTION_VERSION:
		(void)puts("porter-bench " PACKAGE_VERSION);
		return EXIT_SUCCESS;
	case OPTION_JSON:
		bench->json = true;
		return -1;
	case OPTION_CASE:
		bench->pattern = optarg;
		return -1;
	case OPTION_DURATION:
		if (parse_seconds(optarg, &bench->seconds))
			return -1;
		(void)fprintf(stderr, "%s: --duration=%s is not a number of seconds, up to 3600",
			      program_invocation_short_name, optarg);
		return wrong_usage();
	case OPTION_PLOT:
		bench->plot = optarg;
		return -1;
	case OPTION_PORTERD:
		bench->porterd = optarg;
		return -1;
	case OPTION_OPENER:
		bench->opener = optarg;
		return -1;
	default: /* getopt said what is wrong */
		return EXIT_WRONG_USAGE;
	}
}

static int parse(int argc, char **argv, struct bench_options *bench)
{
	int option, status = -1;

	while (status < 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		status = parse_option(bench, option);
	if (status >= 0 || optind == argc)
		return status;
	(void)fprintf(stderr, "%s: bench has no arguments", program_invocation_short_name);
	return wrong_usage();
}

static int run(const struct bench_options *bench)
{
	switch (bench_run(bench)) {
	case BENCH_DONE:
		return EXIT_SUCCESS;
	case BENCH_NO_CASE:
		(void)fprintf(stderr, "Cases:\n");
		bench_print_cases();
		(void)fprintf(stderr, "%s: --case=%s fits no case", program_invocation_short_name, bench->pattern);
		return wrong_usage();
	default:
		return EXIT_FAILURE;
	}
}

/* A program in this one's directory. The caller frees it; NULL: no memory, or no /proc. */
static char *beside(const char *name)
{
	char *own = realpath("/proc/self/exe", NULL), *path = NULL;

	if (own && asprintf(&path, "%.*s%s", (int)(strrchr(own, '/') + 1 - own), own, name) < 0)
		path = NULL;
	free(own);
	return path;
}

int main(int argc, char **argv)
{
	_cleanup_free_ char *opener = beside("porterd-opener"), *empty = beside("porterd-bench-empty");
	struct bench_options bench = {
		.seconds = BENCH_SECONDS,
		.porterd = SBINDIR "/porterd",
		.opener = opener ? opener : LIBEXECDIR "/porterd-opener",
		.empty = empty ? empty : LIBEXECDIR "/porterd-bench-empty",
	};
	int status = parse(argc, argv, &bench);

	if (status < 0)
		status = run(&bench);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "%s: can't write to standard output: %s\n", program_invocation_short_name,
			      strerror(errno));
		return status == EXIT_SUCCESS ? EXIT_FAILURE : status;
	}
	return status;
}
