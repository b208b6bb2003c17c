/* SPDX-License-Identifier: MIT
 *
 * A policy read from the test's directory.
 */
#include "policy_fixture.h"

char told[65536];
struct policy *policy;

static void report(const struct policy_error *error, void *data)
{
	size_t used = strlen(told);

	(void)data;
	(void)snprintf(told + used, sizeof(told) - used, "%s\n", error->message);
}

void load_from(const char *first, const char *second, const char *third)
{
	struct policy_source source = { .directories = { first, second, third }, .owner = getuid() };

	told[0] = '\0';
	policy = policy_free(policy);
	ck_assert_int_eq(policy_load(&policy, &source, report, NULL), 0);
}

void load(void)
{
	load_from(fixture_directory, NULL, NULL);
}

void policy_teardown(void)
{
	policy = policy_free(policy);
	fixture_teardown();
}

void ck_no_errors(void)
{
	ck_assert_str_eq(told, "");
	ck_assert_uint_eq(policy->n_errors, 0);
}

bool granted(const char *name)
{
	const struct grant *grant = policy_find(policy, name);

	return grant && !grant->broken;
}

bool broken(const char *name)
{
	const struct grant *grant = policy_find(policy, name);

	return grant && grant->broken;
}
