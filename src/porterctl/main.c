/* SPDX-License-Identifier: MIT
 *
 * porterctl: ask porterd on the command line. Options and verbs; each verb has a file of its own.
 */
#include <fcntl.h>
#include <getopt.h>

#include "porterctl/failure.h"
#include "porterctl/output.h"
#include "porterctl/porterctl.h"

static const struct verb {
	const char *name;
	const char *arguments;
	const char *summary;
	int (*run)(const struct invocation *invocation);
	size_t min_words, max_words;
	bool takes_command; /* what follows `--` is not for porterctl */
	bool has_json;
} verbs[] = {
	{ "echo", "[TEXT]", "send TEXT, or standard input, and print what comes back", verb_echo,
	  0, 1, false, false },
	{ "whoami", "", "show what the kernel tells the service of this process", verb_whoami,
	  0, 0, false, true },
	{ "check", "FILE", "ask whether FILE may be opened, and why", verb_check, 1, 1, false, true },
	{ "list", "", "list the files that may be opened", verb_list, 0, 0, false, true },
	{ "cat", "FILE", "print FILE", verb_cat, 1, 1, false, true },
	{ "exec", "FILE[?][=FD]... -- COMMAND...", "open the files and become COMMAND with them", verb_exec,
	  1, PORTER_FILES_MAX, true, true },
	{ "status", "", "show the state of the sockets and services", verb_status, 0, 0, false, true },
	{ "bench", "", "measure the daemon against the bare system calls", verb_bench, 0, 0, false, true },
};

static int print_help(void)
{
	(void)printf("Usage: porterctl [OPTION]... VERB [ARGUMENT]...\n\nVerbs:\n");
	for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
		(void)printf("  %-6s %-31s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].summary);
	(void)printf("\n"
		     "exec leaves out a FILE? that is missing, and puts FILE=FD at that number.\n"
		     "\n"
		     "Options:\n"
		     "  --json              print what came back as JSON\n"
		     "  --socket=PATH       connect to PATH; a leading @ names an abstract socket\n"
		     "  --help              show this\n"
		     "  --version           show the version\n"
		     "Of bench:\n"
		     "  --case=PATTERN      only the cases whose names match, for example 'echo*'\n"
		     "  --duration=SECONDS  how long each case is measured\n"
		     "  --plot=FILE.svg     also draw the results\n"
		     "  --porterd=PATH      measure this daemon instead of the installed one,\n"
		     "  --opener=PATH       and this opener\n"
		     "\n"
		     "Exit status: 0 done, 1 refused or not satisfied, 2 wrong usage, 3 the service can't\n"
		     "be reached. A COMMAND has its own; 126: it can't be run, 127: it is not found.\n"
		     "\n"
		     "See porterctl(1).\n");
	return EXIT_DONE;
}

static bool has_bench_options(const struct bench_invocation *bench)
{
	return bench->pattern || bench->duration || bench->plot || bench->porterd || bench->opener;
}

static int verb_run(const struct verb *verb, struct invocation *invocation)
{
	if (invocation->n_words < verb->min_words || invocation->n_words > verb->max_words)
		return failure_usage("usage of %s: porterctl %s%s%s", verb->name, verb->name,
				     *verb->arguments ? " " : "", verb->arguments);
	if (invocation->json && !verb->has_json)
		return failure_usage("%s has no JSON to print: it passes bytes on as they are", verb->name);
	if (verb->run != verb_bench && has_bench_options(&invocation->bench))
		return failure_usage("--case=, --duration=, --plot=, --porterd= and --opener= are options of bench");
	return verb->run(invocation);
}

/* Finds the verb among the words, and its command behind `--`. */
static int dispatch(struct invocation *invocation, bool has_command)
{
	const struct verb *verb = NULL;

	if (invocation->n_words == 0)
		return failure_usage("a verb is missing");
	for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
		if (strcmp(verbs[i].name, invocation->words[0]) == 0)
			verb = &verbs[i];
	if (!verb)
		return failure_usage("unknown verb %s", invocation->words[0]);

	invocation->words++;
	invocation->n_words--;
	/* Only exec tells the two sides of `--` apart. */
	if (!verb->takes_command && has_command) {
		while (*invocation->command)
			invocation->words[invocation->n_words++] = *invocation->command++;
		invocation->command = NULL;
	}
	return verb_run(verb, invocation);
}

enum {
	OPTION_HELP = 256,
	OPTION_VERSION,
	OPTION_JSON,
	OPTION_SOCKET,
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
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "case", required_argument, NULL, OPTION_CASE },
	{ "duration", required_argument, NULL, OPTION_DURATION },
	{ "plot", required_argument, NULL, OPTION_PLOT },
	{ "porterd", required_argument, NULL, OPTION_PORTERD },
	{ "opener", required_argument, NULL, OPTION_OPENER },
	{ NULL, 0, NULL, 0 },
};

/* One option, or a word. Returns the exit status if there is nothing else to do, or -1. */
static int take_option(struct invocation *invocation, int option)
{
	switch (option) {
	case 1:
		invocation->words[invocation->n_words++] = optarg;
		return -1;
	case 'h':
	case OPTION_HELP:
		return print_help();
	case OPTION_VERSION:
		(void)puts("porterctl " PACKAGE_VERSION);
		return EXIT_DONE;
	case OPTION_JSON:
		invocation->json = true;
		return -1;
	case OPTION_SOCKET:
		invocation->socket = optarg;
		return -1;
	case OPTION_CASE:
		invocation->bench.pattern = optarg;
		return -1;
	case OPTION_DURATION:
		invocation->bench.duration = optarg;
		return -1;
	case OPTION_PLOT:
		invocation->bench.plot = optarg;
		return -1;
	case OPTION_PORTERD:
		invocation->bench.porterd = optarg;
		return -1;
	case OPTION_OPENER:
		invocation->bench.opener = optarg;
		return -1;
	default: /* getopt said what is wrong */
		return failure_usage("this is not how it is called");
	}
}

/* What getopt left behind `--`. That may also stand before the verb, which may then have one of its own. */
static void take_rest(struct invocation *invocation, char **argv)
{
	if (strcmp(argv[optind - 1], "--") != 0)
		return;
	invocation->command = argv + optind;
	if (invocation->n_words > 0)
		return;
	while (*invocation->command && strcmp(*invocation->command, "--") != 0)
		invocation->words[invocation->n_words++] = *invocation->command++;
	invocation->command = *invocation->command ? invocation->command + 1 : NULL;
}

static int run(int argc, char **argv)
{
	/* There are at most as many words as arguments. The command stays where it is. */
	_cleanup_free_ char **words = calloc((size_t)argc + 1, sizeof(*words));
	struct invocation invocation = { .words = words };
	int option, status = -1;

	if (!words)
		output_out_of_memory();
	/* `-`: words come in their order as option 1, so that the place of `--` is known. */
	while (status < 0 && (option = getopt_long(argc, argv, "-h", options, NULL)) != -1)
		status = take_option(&invocation, option);
	if (status >= 0)
		return status;
	take_rest(&invocation, argv);
	return dispatch(&invocation, invocation.command);
}

/* Whatever opens an fd must not get the number of stdin, stdout or stderr. */
static int fill_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	int status;

	if (fill_standard_fds() < 0)
		return EXIT_REFUSED;

	status = run(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		failure_say("can't write to standard output: %s", strerror(errno));
		return status == EXIT_DONE ? EXIT_REFUSED : status;
	}
	return status;
}
