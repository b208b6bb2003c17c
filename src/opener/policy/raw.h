/* SPDX-License-Identifier: MIT
 *
 * The policy between text and meaning: the sections and values of all files, laid over one another, each with
 * the place that it came from. Used by the policy_*.c files alone.
 */
#pragma once

#include "opener/policy/policy.h"

enum policy_key {
	KEY_DESCRIPTION,
	KEY_PATH,
	KEY_WITHIN,
	KEY_ACCESS,
	KEY_TYPE,
	KEY_DELIVER,
	KEY_ALLOW_USER,
	KEY_ALLOW_GROUP,
	KEY_ALLOW_UNIT,
	KEY_CREATE,
	KEY_MODE,
	KEY_AUDIT_REQUIRED,
	N_KEYS,
};

extern const char *const policy_key_names[N_KEYS];

struct raw_value {
	char *text;	  /* owned; NULL: not given */
	const char *file; /* where it was given, of raw_policy's files */
	unsigned line;
};

struct raw_section {
	char name[OPENER_LABEL_SIZE];
	const char *file; /* where it was seen last */
	unsigned line;
	bool broken;
	struct raw_value values[N_KEYS];
};

struct raw_policy {
	struct raw_section *sections; /* in the order in which they were met */
	size_t n_sections, room;
	char **files; /* names that values point to, owned */
	size_t n_files;
	bool all_broken;
	size_t n_errors;
	int shortage; /* -errno of what was missing for a moment, or 0 */

	policy_reporter report;
	void *data;
};

void raw_policy_clear(struct raw_policy *raw);

/* The section of that name, NULL if there is none. */
struct raw_section *raw_policy_find(struct raw_policy *raw, const char *name);

/* Reports an error and counts it. `section` and `key` may be NULL; a `section` is broken by it, and without
 * one all sections are. */
void raw_policy_error(struct raw_policy *raw, const char *file, unsigned line, struct raw_section *section,
		      const char *key, const char *format, ...) _printf_(6, 7);

/* Reports that a file can't be read. A shortage of descriptors or memory is no error of the policy: nothing is reported,
 * policy_read_files() returns it in the end, and all is read again another time. */
void raw_policy_unreadable(struct raw_policy *raw, const char *file, int error);

/* Finds the files, checks whose they are, and lays them over one another in order. 0, or -errno of a
 * shortage. */
int policy_read_files(struct raw_policy *raw, const struct policy_source *source);

/* Lays one file's content (an fd at its start; `name` is for people, and raw's) over what is there. */
int policy_parse_file(struct raw_policy *raw, int fd, const char *name);

/* Makes a grant of a section, or a broken one, with an error for each thing that is wrong. 0 or -ENOMEM. */
int policy_compile_section(struct raw_policy *raw, struct raw_section *section, struct grant *ret);
