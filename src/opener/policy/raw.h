/* SPDX-License-Identifier: MIT
 *
 * The policy between text and meaning: the sections and values of all files, laid over one another, each with
 * the place that it came from.
 */
#pragma once

#include <stdbool.h>

#include "base/macro.h"
#include "base/opener_wire.h"
#include "opener/policy/source.h"

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
	size_t n_sections;
	char **files; /* names that values point to, owned */
	size_t n_files;
	bool all_broken;
	size_t n_errors;
	int shortage; /* -errno of what was missing for a moment, or 0 */

	const struct policy_source *source; /* for policy_read_files() */
	policy_reporter report;
	void *data;
};

void raw_policy_clear(struct raw_policy *raw);

/* Keeps the name of a file for as long as the raw policy. NULL: no memory. */
const char *raw_policy_add_file(struct raw_policy *raw, const char *directory, const char *name);

/* The section of that name, NULL if there is none. */
struct raw_section *raw_policy_find(struct raw_policy *raw, const char *name);

/* Adds one that is not there yet. Those that were found before may move. 0; -E2BIG: there are POLICY_SECTIONS_MAX; or
 * -ENOMEM. */
int raw_policy_add(struct raw_policy *raw, const char *name, struct raw_section **ret);

/* Reports an error and counts it. `section` and `key` may be NULL; a `section` is broken by it, and without
 * one all sections are. */
void raw_policy_error(struct raw_policy *raw, const char *file, unsigned line, struct raw_section *section,
		      const char *key, const char *format, ...) _printf_(6, 7);

/* Reports that a file can't be read. A shortage of descriptors or memory is no error of the policy: nothing is
 * reported, policy_read_files() returns it in the end, and all is read again another time. */
void raw_policy_unreadable(struct raw_policy *raw, const char *file, int error);
