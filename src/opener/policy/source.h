/* SPDX-License-Identifier: MIT
 *
 * Where the policy is read from, how much of it there may be, and how its errors are told.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define POLICY_FILE_SIZE_MAX ((size_t)1 << 20)
#define POLICY_FILES_MAX 1024
#define POLICY_SECTIONS_MAX 1024
#define POLICY_LIST_MAX 256
#define POLICY_DIRECTORIES_MAX 3

struct policy_source {
	const char *directories[POLICY_DIRECTORIES_MAX]; /* absolute; NULL: unused; a later one overrides */
	uid_t owner; /* besides root, whose files are believed: root itself, or in tests whoever runs them */
};

/* One thing that is wrong, to be told to people. */
struct policy_error {
	const char *file;    /* NULL: no file is to blame */
	unsigned line;	     /* 0: the whole file */
	const char *message; /* a sentence that names file, line, section and key itself */
};

typedef void (*policy_reporter)(const struct policy_error *error, void *data);
