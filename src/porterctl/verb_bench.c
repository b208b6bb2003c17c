/* SPDX-License-Identifier: MIT
 *
 * porterctl bench: becomes porter-bench, which is a program of its own, and not everywhere where porterctl is.
 */
#include "base/macro.h"
#include "porterctl/failure.h"
#include "porterctl/output.h"
#include "porterctl/porterctl.h"

#define INSTALLED LIBEXECDIR "/porter-bench"
#define ARGUMENTS_MAX 8

/* The program in the directory of another one; NULL: it is not there. The caller frees it. */
static char *beside(const char *other)
{
	const char *slash = strrchr(other, '/');
	char *path;

	if (asprintf(&path, "%.*sporter-bench", slash ? (int)(slash - other + 1) : 0, other) < 0)
		output_out_of_memory();
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

/* Daemons that are not the installed ones, for example in a build tree, have their own porter-bench beside them. */
static char *find_program(const struct bench_invocation *bench)
{
	char *path = bench->opener ? beside(bench->opener) : NULL;

	if (!path && bench->porterd)
		path = beside(bench->porterd);
	if (!path)
		path = strdup(INSTALLED);
	if (!path)
		output_out_of_memory();
	return path;
}

static void add_option(char **arguments, size_t *n_arguments, const char *name, const char *value)
{
	if (!value)
		return;
	if (asprintf(&arguments[*n_arguments], "--%s=%s", name, value) < 0)
		output_out_of_memory();
	(*n_arguments)++;
}

int verb_bench(const struct invocation *invocation)
{
	static char self[] = "porterctl", json[] = "--json";
	const struct bench_invocation *bench = &invocation->bench;
	_cleanup_free_ char *program = find_program(bench);
	/* It takes the name in its messages from here, and people called porterctl. */
	char *arguments[ARGUMENTS_MAX] = { self, invocation->json ? json : NULL };
	size_t n_fixed = invocation->json ? 2 : 1, n_arguments = n_fixed;

	add_option(arguments, &n_arguments, "case", bench->pattern);
	add_option(arguments, &n_arguments, "duration", bench->duration);
	add_option(arguments, &n_arguments, "plot", bench->plot);
	add_option(arguments, &n_arguments, "porterd", bench->porterd);
	add_option(arguments, &n_arguments, "opener", bench->opener);

	(void)execv(program, arguments);
	failure_say("can't run %s: %s. It may come in a package of its own", program, strerror(errno));
	while (n_arguments > n_fixed)
		free(arguments[--n_arguments]);
	return EXIT_REFUSED;
}
