/* SPDX-License-Identifier: MIT
 *
 * What systemd knows of units, through systemctl.
 */
#include "porterctl/systemctl.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>

#include "porterctl/output.h"
#include "porterctl/stream.h"

#define OUTPUT_MAX ((size_t)1024 * 1024)
#define ARGUMENTS_MAX 32

extern char **environ;

/* Starts systemctl with its output in a pipe. Returns the pipe's fd, which the caller owns. */
static int start(const char *const *units, const char *properties, pid_t *ret_pid)
{
	_cleanup_close_ int reading = -EBADF, writing = -EBADF;
	_cleanup_free_ char *option = NULL;
	const char *arguments[ARGUMENTS_MAX + 1] = { "systemctl", "show", "--no-pager" };
	posix_spawn_file_actions_t actions;
	size_t n_arguments = 4;
	int ends[2], r;

	if (asprintf(&option, "--property=%s", properties) < 0)
		return -ENOMEM;
	arguments[3] = option;
	for (; *units && n_arguments < ARGUMENTS_MAX; units++)
		arguments[n_arguments++] = *units;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	reading = ends[0];
	writing = ends[1];

	r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return -r;
	r = posix_spawn_file_actions_adddup2(&actions, writing, STDOUT_FILENO);
	if (r == 0)
		/* posix_spawn does not write to its arguments, it is only declared so. */
		r = posix_spawnp(ret_pid, arguments[0], &actions, NULL, (char *const *)(uintptr_t)arguments,
				 environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r == 0 ? TAKE_FD(reading) : -r;
}

static int read_all(int fd, char **ret)
{
	_cleanup_free_ char *text = malloc(OUTPUT_MAX + 1);
	size_t used = 0;

	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t size = stream_read(fd, text + used, OUTPUT_MAX + 1 - used);

		if (size < 0)
			return (int)size;
		if (size == 0)
			break;
		used += (size_t)size;
		if (used > OUTPUT_MAX)
			return -EBADMSG;
	}
	text[used] = '\0';
	*ret = TAKE_POINTER(text);
	return 0;
}

/* Lines NAME=VALUE, an empty line between two units, and the unit's name among the rest as Id=. */
static int parse(char *text, json_t **ret)
{
	_cleanup_json_ json_t *units = json_object(), *unit = json_object();
	char *line;

	while ((line = strsep(&text, "\n"))) {
		char *equals = strchr(line, '=');
		const char *id;

		if (equals) {
			/* Values are only printed, so they can be escaped here. */
			_cleanup_free_ char *value = output_escape(equals + 1);

			*equals = '\0';
			if (json_object_set_new(unit, line, json_string(value)) < 0)
				return -EBADMSG;
			continue;
		}

		id = json_string_value(json_object_get(unit, "Id"));
		if (!id)
			continue;
		if (json_object_set(units, id, unit) < 0)
			return -ENOMEM;
		json_decref(unit);
		unit = json_object();
	}

	*ret = TAKE_POINTER(units);
	return 0;
}

int systemctl_show(const char *const *units, const char *properties, json_t **ret)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r, status;
	pid_t pid = -1;

	fd = start(units, properties, &pid);
	if (fd < 0)
		return fd;

	r = read_all(fd, &text);
	/* If not all of its output was read, this ends systemctl. */
	fd_close(TAKE_FD(fd));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EHOSTDOWN;
	return parse(text, ret);
}
