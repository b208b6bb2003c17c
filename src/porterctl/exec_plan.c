/* SPDX-License-Identifier: MIT
 *
 * Which file goes to which fd number.
 */
#include "porterctl/exec_plan.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>

#include "base/macro.h"
#include "base/number.h"
#include "porterctl/failure.h"
#include "porterctl/output.h"

void exec_plan_clear(struct exec_plan *plan)
{
	for (size_t i = 0; i < plan->n_files; i++)
		free(plan->files[i].name);
	free(plan->files);
	*plan = (struct exec_plan){ .files = NULL };
}

/* Reads a number that dup2() would take. Negative: it is none. */
static int parse_fd(const char *text)
{
	struct rlimit limit;
	uint64_t number;

	if (number_parse(text, strlen(text), INT_MAX, &number) < 0)
		return -1;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && number >= limit.rlim_cur)
		return -1;
	return (int)number;
}

/* Files without a number of their own are numbered as they come. */
static void number_files(struct exec_plan *plan)
{
	plan->n_listed = 0;
	for (size_t i = 0; i < plan->n_files; i++)
		if (!plan->files[i].explicit)
			plan->files[i].target = EXEC_FDS_START + (int)plan->n_listed++;
}

static int parse_word(struct exec_plan *plan, const char *word)
{
	const char *equals = strrchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	struct exec_file *file = &plan->files[plan->n_files];

	file->optional = length > 0 && word[length - 1] == '?';
	file->name = strndup(word, length - file->optional);
	if (!file->name)
		output_out_of_memory();
	plan->n_files++;

	file->explicit = equals;
	if (equals) {
		file->target = parse_fd(equals + 1);
		if (file->target < 0)
			return failure_usage("%s: %s is no fd number that this process may use", word, equals + 1);
	}
	if (!*file->name)
		return failure_usage("a file's name is missing in \"%s\"", word);
	return EXIT_DONE;
}

int exec_plan_parse(struct exec_plan *plan, char *const *words, size_t n_words)
{
	*plan = (struct exec_plan){ .files = calloc(n_words, sizeof(*plan->files)) };
	if (!plan->files)
		output_out_of_memory();

	for (size_t i = 0; i < n_words; i++) {
		int r = parse_word(plan, words[i]);

		if (r != EXIT_DONE)
			return r;
	}

	/* Numbers without =FD follow from the order, so a collision can only be told when all are known. Where one
	 * is left out, the others need no number that they did not need before. */
	number_files(plan);
	for (size_t i = 0; i < plan->n_files; i++)
		for (size_t j = 0; j < i; j++) {
			const struct exec_file *one = &plan->files[j], *other = &plan->files[i];

			if (strcmp(one->name, other->name) == 0)
				return failure_usage("%s is given twice", one->name);
			if (one->target == other->target)
				return failure_usage("%s and %s would both be fd %d", one->name, other->name,
						     one->target);
		}
	return EXIT_DONE;
}

/* The file whose {NAME} the text begins with. */
static const struct exec_file *find_reference(const struct exec_plan *plan, const char *text)
{
	for (size_t i = 0; *text == '{' && i < plan->n_files; i++) {
		size_t length = strlen(plan->files[i].name);

		if (strncmp(text + 1, plan->files[i].name, length) == 0 && text[length + 1] == '}')
			return &plan->files[i];
	}
	return NULL;
}

int exec_plan_check_command(const struct exec_plan *plan, char *const *command)
{
	for (; *command; command++)
		for (const char *text = *command; *text; text++) {
			const struct exec_file *file = find_reference(plan, text);

			if (file && file->optional)
				return failure_usage("\"%s\" needs the path of %s, but %s? may be left out",
						     *command, file->name, file->name);
		}
	return EXIT_DONE;
}

bool exec_plan_leave_out(struct exec_plan *plan, const char *name)
{
	for (size_t i = 0; name && i < plan->n_files; i++) {
		struct exec_file *file = &plan->files[i];

		if (!file->optional || strcmp(file->name, name) != 0)
			continue;
		free(file->name);
		plan->n_files--;
		memmove(file, file + 1, (plan->n_files - i) * sizeof(*file));
		number_files(plan);
		return true;
	}
	return false;
}

char *exec_plan_expand(const struct exec_plan *plan, const char *argument)
{
	char *expanded = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&expanded, &size);

	if (!stream)
		return NULL;

	while (*argument) {
		const struct exec_file *file = find_reference(plan, argument);

		if (file) {
			(void)fprintf(stream, "/proc/self/fd/%d", file->target);
			argument += strlen(file->name) + 2;
		} else {
			(void)fputc(*argument++, stream);
		}
	}

	if (fclose(stream) != 0) {
		free(expanded);
		return NULL;
	}
	return expanded;
}

char *exec_plan_names(const struct exec_plan *plan)
{
	char *names = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&names, &size);

	if (!stream)
		return NULL;

	for (size_t i = 0, listed = 0; i < plan->n_files; i++) {
		if (plan->files[i].explicit)
			continue;
		if (listed++ > 0)
			(void)fputc(':', stream);
		/* A name in LISTEN_FDNAMES holds no colon, which separates them, and no control character. */
		for (const char *c = plan->files[i].name; *c; c++)
			(void)fputc(*c == ':' || iscntrl((unsigned char)*c) ? '_' : *c, stream);
	}

	if (fclose(stream) != 0) {
		free(names);
		return NULL;
	}
	return names;
}

static bool is_target(const struct exec_plan *plan, int fd)
{
	for (size_t i = 0; i < plan->n_files; i++)
		if (plan->files[i].target == fd)
			return true;
	return false;
}

/* Moves an fd that stands where a file goes to a number where none goes. */
static int park(const struct exec_plan *plan, int *fd)
{
	int lowest = EXEC_FDS_START + (int)plan->n_listed;

	while (is_target(plan, *fd)) {
		int moved;

		while (is_target(plan, lowest))
			lowest++;
		moved = fcntl(*fd, F_DUPFD_CLOEXEC, lowest);
		if (moved < 0)
			return -errno;
		/* Free numbers below may be targets too: go on above. */
		fd_close(*fd);
		*fd = moved;
		lowest = moved + 1;
	}
	return 0;
}

int exec_plan_place(const struct exec_plan *plan, int *fds, int *kept)
{
	int r = *kept >= 0 ? park(plan, kept) : 0;

	for (size_t i = 0; r == 0 && i < plan->n_files; i++)
		r = park(plan, &fds[i]);
	/* dup2() clears close-on-exec; the parked ones keep it. */
	for (size_t i = 0; r == 0 && i < plan->n_files; i++)
		if (dup2(fds[i], plan->files[i].target) < 0)
			r = -errno;
	for (size_t i = 0; i < plan->n_files; i++)
		fd_close(fds[i]);
	return r;
}
