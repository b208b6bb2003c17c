/* SPDX-License-Identifier: MIT
 *
 * The policy as a whole: files to sections, sections to grants, and looking one up.
 */
#include "opener/policy/policy.h"

#include "opener/policy/compile.h"
#include "opener/policy/files.h"

struct policy *policy_free(struct policy *policy)
{
	if (!policy)
		return NULL;

	for (size_t i = 0; i < policy->n_grants; i++)
		grant_clear(&policy->grants[i]);
	free(policy->grants);
	free(policy);
	return NULL;
}

static int compare_grants(const void *a, const void *b)
{
	const struct grant *one = a, *other = b;

	return strcmp(one->name, other->name);
}

static int compile(struct raw_policy *raw, struct policy *policy)
{
	policy->grants = calloc(raw->n_sections + 1, sizeof(struct grant));
	if (!policy->grants)
		return -ENOMEM;

	for (size_t i = 0; i < raw->n_sections; i++) {
		struct grant *grant = &policy->grants[policy->n_grants++];
		int r = policy_compile_section(raw, &raw->sections[i], grant);

		if (r < 0)
			return r;
		if (raw->all_broken)
			grant->broken = true;
		policy->n_granted += !grant->broken;
	}

	qsort(policy->grants, policy->n_grants, sizeof(struct grant), compare_grants);
	return 0;
}

int policy_load(struct policy **ret, const struct policy_source *source, policy_reporter report, void *data)
{
	_cleanup_(raw_policy_clear) struct raw_policy raw = { .source = source, .report = report, .data = data };
	_cleanup_(cleanup_policy) struct policy *policy = calloc(1, sizeof(*policy));
	int r;

	if (!policy)
		return -ENOMEM;

	r = policy_read_files(&raw);
	if (r < 0)
		return r;
	r = compile(&raw, policy);
	if (r < 0)
		return r;

	policy->n_errors = raw.n_errors;
	*ret = TAKE_POINTER(policy);
	return 0;
}

static int compare_name(const void *name, const void *grant)
{
	return strcmp(name, ((const struct grant *)grant)->name);
}

const struct grant *policy_find(const struct policy *policy, const char *name)
{
	return bsearch(name, policy->grants, policy->n_grants, sizeof(struct grant), compare_name);
}

void policy_write_counts(const struct policy *policy, char text[static POLICY_COUNTS_SIZE])
{
	(void)snprintf(text, POLICY_COUNTS_SIZE, "%zu %s may be granted, %zu never", policy->n_granted,
		       policy->n_granted == 1 ? "file" : "files", policy->n_grants - policy->n_granted);
}
