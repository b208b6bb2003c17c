/* SPDX-License-Identifier: MIT
 *
 * Ownership and small helpers that every room uses.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _printf_(string, first) __attribute__((format(printf, string, first)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#define MIN_OF(a, b)                      \
	__extension__({                   \
		__typeof__(a) min_a = (a); \
		__typeof__(b) min_b = (b); \
		min_a < min_b ? min_a : min_b; \
	})

#define MAX_OF(a, b)                      \
	__extension__({                   \
		__typeof__(a) max_a = (a); \
		__typeof__(b) max_b = (b); \
		max_a > max_b ? max_a : max_b; \
	})

/* Defines cleanup_TYPE(), to be used as _cleanup_(name): frees what the variable holds, if anything. */
#define DEFINE_CLEANUP(type, name, destroy)          \
	static inline _unused_ void name(type *value) \
	{                                            \
		if (*value)                          \
			destroy(*value);             \
	}

/* Closes an fd that may be none (any negative number) and keeps errno: it runs on error paths. */
static inline void fd_close(int fd)
{
	int saved = errno;

	/* After EINTR the fd is gone on Linux all the same; closing it twice would hit somebody else's. */
	if (fd >= 0)
		(void)close(fd);
	errno = saved;
}

static inline void cleanup_fd(const int *fd)
{
	fd_close(*fd);
}

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

DEFINE_CLEANUP(FILE *, cleanup_file, fclose)

#define _cleanup_close_ _cleanup_(cleanup_fd)
#define _cleanup_free_ _cleanup_(cleanup_free)

/* Is -errno a shortage, of what this process or the machine has too little of just now? Waiting helps then. */
static inline bool error_is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* Hands a variable's fd or pointer to a new owner and leaves none behind. */
#define TAKE_FD(fd)                     \
	__extension__({                 \
		int *take_fd = &(fd);   \
		int taken = *take_fd;   \
		*take_fd = -EBADF;      \
		taken;                  \
	})

#define TAKE_POINTER(pointer)                          \
	__extension__({                                \
		__typeof__(pointer) *take_p = &(pointer); \
		__typeof__(pointer) taken_p = *take_p; \
		*take_p = NULL;                        \
		taken_p;                               \
	})
