/* SPDX-License-Identifier: MIT
 *
 * porterctl exec: open files and become COMMAND with them, the way a unit's OpenFile= would pass them.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "kernel/pidfd.h"
#include "porterctl/client.h"
#include "porterctl/exec_plan.h"
#include "porterctl/failure.h"
#include "porterctl/output.h"

#define _cleanup_exec_plan_ _cleanup_(exec_plan_clear)

/* Was the last call refused because a file is not there, and not because the caller may not have it? */
static bool is_missing(const struct porter *porter)
{
	const char *error = porter_error_name(porter);

	return error && strcmp(error, "io.porterd.Files.FileMissing") == 0;
}

/* Opens all files of the plan, or none, except for those that are missing and may be: they are left out of it. A
 * missing one fails the whole call, so each of them costs another. */
static int open_files(const struct invocation *invocation, struct exec_plan *plan, int *fds)
{
	_cleanup_porter_ struct porter *porter = NULL;
	const char *names[PORTER_FILES_MAX];
	int r;

	r = client_connect(invocation, &porter);
	if (r != EXIT_DONE)
		return r;
	while (plan->n_files > 0) {
		for (size_t i = 0; i < plan->n_files; i++)
			names[i] = plan->files[i].name;
		r = porter_open_many(porter, names, plan->n_files, fds);
		if (r == 0)
			break;
		if (!is_missing(porter) || !exec_plan_leave_out(plan, porter_error_file(porter)))
			return failure_call(invocation, porter, "open",
					    plan->n_files == 1 ? names[0] : "the files", r);
	}
	return EXIT_DONE;
}

/* The arguments of COMMAND, expanded. They live until exec, or until the program ends. */
static char **expand_command(const struct exec_plan *plan, char *const *command)
{
	size_t n_arguments = 0;
	char **expanded;

	while (command[n_arguments])
		n_arguments++;
	expanded = calloc(n_arguments + 1, sizeof(*expanded));
	if (!expanded)
		output_out_of_memory();
	for (size_t i = 0; i < n_arguments; i++) {
		expanded[i] = exec_plan_expand(plan, command[i]);
		if (!expanded[i])
			output_out_of_memory();
	}
	return expanded;
}

static void free_command(char ***command)
{
	for (size_t i = 0; *command && (*command)[i]; i++)
		free((*command)[i]);
	free(*command);
}

static int set_number(const char *variable, uint64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, number);
	return setenv(variable, text, true) < 0 ? -errno : 0;
}

/* Tells COMMAND by the protocol of sd_listen_fds(3) what it has been given. */
static int announce(const struct exec_plan *plan)
{
	_cleanup_free_ char *names = exec_plan_names(plan);
	uint64_t id;
	int r;

	if (!names)
		return -ENOMEM;
	if (plan->n_listed == 0)
		return 0;
	r = set_number("LISTEN_FDS", plan->n_listed);
	if (r == 0)
		r = set_number("LISTEN_PID", (uint64_t)getpid());
	/* Another process may have this number one day, but not this ID. */
	if (r == 0 && pidfd_own_id(&id) == 0)
		r = set_number("LISTEN_PIDFDID", id);
	if (r == 0)
		r = setenv("LISTEN_FDNAMES", names, true) < 0 ? -errno : 0;
	return r;
}

/* Is there a file of that name in $PATH, whatever it is? */
static bool is_in_path(const char *name)
{
	const char *path = getenv("PATH"), *directory;
	_cleanup_free_ char *copy = strdup(path ? path : "");
	char *rest = copy;

	while (rest && (directory = strsep(&rest, ":"))) {
		_cleanup_free_ char *file = NULL;

		if (asprintf(&file, "%s/%s", *directory ? directory : ".", name) < 0)
			output_out_of_memory();
		if (access(file, F_OK) == 0)
			return true;
	}
	return false;
}

/* Becomes COMMAND; returns why not. execvp() also says EACCES where only a directory in $PATH was closed to
 * it; shells call that not found, and so does this. */
static int become(char *const *command)
{
	int error;

	(void)execvp(command[0], command);
	error = errno;
	return error == EACCES && !strchr(command[0], '/') && !is_in_path(command[0]) ? ENOENT : error;
}

/* Places the fds and becomes COMMAND; returns only where that fails. */
static int run(const struct exec_plan *plan, int *fds, char *const *command)
{
	/* A file may be put at 2, but messages still go to the caller's stderr. */
	int stderr_kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, EXEC_FDS_START), error = 0, r;

	r = exec_plan_place(plan, fds, &stderr_kept);
	if (r == 0)
		r = announce(plan);
	if (r == 0)
		error = become(command);
	if (stderr_kept >= 0)
		(void)dup2(stderr_kept, STDERR_FILENO);

	if (r < 0) {
		failure_say("can't put the files in place for %s: %s", command[0], strerror(-r));
		return EXIT_REFUSED;
	}
	failure_say("can't run %s: %s", command[0], strerror(error));
	return error == ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN;
}

int verb_exec(const struct invocation *invocation)
{
	_cleanup_exec_plan_ struct exec_plan plan = { .files = NULL };
	_cleanup_(free_command) char **command = NULL;
	int fds[PORTER_FILES_MAX], r;

	if (!invocation->command || !*invocation->command)
		return failure_usage("a command is missing: porterctl exec FILE... -- COMMAND");
	r = exec_plan_parse(&plan, invocation->words, invocation->n_words);
	if (r != EXIT_DONE)
		return r;
	r = exec_plan_check_command(&plan, invocation->command);
	if (r != EXIT_DONE)
		return r;

	/* COMMAND does not get what systemd passed to this process. This makes it close-on-exec and forgets the
	 * variables, except for one that older libraries do not know. */
	(void)sd_listen_fds(true);
	(void)unsetenv("LISTEN_PIDFDID");

	r = open_files(invocation, &plan, fds);
	if (r != EXIT_DONE)
		return r;
	command = expand_command(&plan, invocation->command);
	return run(&plan, fds, command);
}
