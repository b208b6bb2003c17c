/* SPDX-License-Identifier: MIT
 *
 * The policy: which file may be opened by whom, as files.conf says, with every name already resolved.
 * porterd-files.conf(5) describes the files.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"
#include "base/opener_wire.h"

#define POLICY_FILE_SIZE_MAX ((size_t)1 << 20)
#define POLICY_FILES_MAX 1024
#define POLICY_SECTIONS_MAX 1024
#define POLICY_LIST_MAX 256
#define POLICY_DIRECTORIES_MAX 3

enum grant_access {
	GRANT_READ,
	GRANT_WRITE,
	GRANT_READ_WRITE,
	GRANT_APPEND,
};

enum grant_type {
	GRANT_REGULAR,
	GRANT_DEVICE,
	GRANT_SOCKET,
};

/* One section. A list that is empty was not given and asks nothing; a grant without any list is broken. */
struct grant {
	char name[OPENER_LABEL_SIZE];
	bool broken; /* never granted; nothing below is valid then */

	char *description; /* NULL: none */
	char *path;
	char *within; /* NULL: no links are followed */
	enum grant_access access;
	enum grant_type type;
	bool copy;
	bool create;
	mode_t mode;
	bool audit_required; /* nothing is granted but what the journal has a record of */

	uid_t *users;
	gid_t *groups;
	char **units;
	size_t n_users, n_groups, n_units;
};

struct policy {
	struct grant *grants; /* sorted by name */
	size_t n_grants;
	size_t n_granted; /* those that are not broken */
	size_t n_errors;
};

/* Where the policy is read from. */
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

/* Reads the policy and reports each error as it is met. What is wrong is never granted: a section with an
 * error is broken, and an error that can't be pinned on a section (a file that can't be read, believed or
 * divided into sections) breaks all of them, because any could be narrower than it looks without that file.
 * Returns 0 even then (see n_errors), or -ENOMEM, -EMFILE or -ENFILE: that may be better in a moment. */
int policy_load(struct policy **ret, const struct policy_source *source, policy_reporter report, void *data);

struct policy *policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, cleanup_policy, policy_free)

/* The grant of that name, NULL if there is none. */
const struct grant *policy_find(const struct policy *policy, const char *name);

/* The word of Access= for it. */
const char *grant_access_name(enum grant_access access);
