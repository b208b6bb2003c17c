/* SPDX-License-Identifier: MIT
 *
 * The policy: which file may be opened by whom, as files.conf says.
 */
#pragma once

#include "base/macro.h"
#include "opener/policy/grant.h"
#include "opener/policy/source.h"

struct policy {
	struct grant *grants; /* sorted by name */
	size_t n_grants;
	size_t n_granted; /* those that are not broken */
	size_t n_errors;
};

/* Reads the policy and reports each error as it is met. What is wrong is never granted: a section with an
 * error is broken, and an error that can't be pinned on a section (a file that can't be read, believed or
 * divided into sections) breaks all of them, because any could be narrower than it looks without that file.
 * Returns 0 even then (see n_errors), or -ENOMEM, -EMFILE or -ENFILE: that may be better in a moment. */
int policy_load(struct policy **ret, const struct policy_source *source, policy_reporter report, void *data);

struct policy *policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, cleanup_policy, policy_free)

/* The grant of that name, NULL if there is none. */
const struct grant *policy_find(const struct policy *policy, const char *name);

/* Writes how many files may be granted, for people. */
#define POLICY_COUNTS_SIZE 96
void policy_write_counts(const struct policy *policy, char text[static POLICY_COUNTS_SIZE]);
