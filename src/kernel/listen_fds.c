/* SPDX-License-Identifier: MIT
 *
 * The descriptors that a service manager hands over.
 */
#include "kernel/listen_fds.h"

#include <fcntl.h>
#include <stdarg.h>

#include "base/nofile.h"
#include "base/number.h"
#include "kernel/pidfd.h"

static _printf_(2, 3) int wrong(char *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(error, LISTEN_FDS_ERROR_SIZE, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* 1: the variable has a number; 0: it is not set, or empty. */
static int read_number(const char *name, uint64_t max, uint64_t *ret, char *error)
{
	const char *text = getenv(name);

	if (!text || !*text)
		return 0;
	if (number_parse(text, strlen(text), max, ret) < 0)
		return wrong(error, "%s=%.64s is not a number up to %llu", name, text, (unsigned long long)max);
	return 1;
}

/* 1: they are for this process. 0: for another one that has passed the variables on, or they are none. */
static int are_ours(char *error)
{
	uint64_t pid, id, own;
	int r = read_number("LISTEN_PID", INT32_MAX, &pid, error);

	if (r <= 0 || pid != (uint64_t)getpid())
		return r < 0 ? r : 0;
	/* A process ID is given out again one day; the ID of a pidfd is not (systemd 259, Linux 6.9). */
	r = read_number("LISTEN_PIDFDID", UINT64_MAX, &id, error);
	return r <= 0 ? (r < 0 ? r : 1) : pidfd_own_id(&own) < 0 || id == own;
}

static uint64_t count_names(const char *names)
{
	uint64_t count = 1;

	for (; *names; names++)
		count += *names == ':';
	return count;
}

/* How many; 0: none. */
static int check(char *error)
{
	const char *names = getenv("LISTEN_FDNAMES");
	uint64_t count, max = nofile_limit();
	int r = are_ours(error);

	if (r > 0)
		r = read_number("LISTEN_FDS", INT32_MAX - SD_LISTEN_FDS_START, &count, error);
	if (r <= 0 || count == 0)
		return r < 0 ? r : 0;
	if (max > 0 && count > max)
		return wrong(error, "LISTEN_FDS=%llu is more than this process can have (%llu)", (unsigned long long)count,
			     (unsigned long long)max);
	for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + (int)count; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return wrong(error, "LISTEN_FDS=%llu, so fds %d to %d are to be open, but fd %d is not",
				     (unsigned long long)count, SD_LISTEN_FDS_START, SD_LISTEN_FDS_START + (int)count - 1, fd);
	if (names && count_names(names) != count)
		return wrong(error, "LISTEN_FDNAMES=%.64s has %llu names for LISTEN_FDS=%llu: it is to have one for each fd, "
			     "with a colon between them", names, (unsigned long long)count_names(names),
			     (unsigned long long)count);
	return (int)count;
}

int listen_fds_take(char ***ret_names, char error[static LISTEN_FDS_ERROR_SIZE])
{
	int r = check(error), count;

	*ret_names = NULL;
	/* Also where they are wrong, they are not for the next program. Newer libraries (259) read this one, too: to them an
	 * empty one is an error, and an ID that this process can't find out for itself (pidfd_own_id) another's. */
	(void)unsetenv("LISTEN_PIDFDID");
	count = sd_listen_fds_with_names(true, ret_names);
	if (r <= 0)
		return r < 0 ? r : -ENODATA;
	return count == 0 ? -ENODATA : count;
}

void listen_fds_free_names(char **names)
{
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
}
