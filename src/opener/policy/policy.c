/* SPDX-License-Identifier: MIT
 *
 * The policy as a whole: files to sections, sections to grants, and looking one up.
 */
#include "opener/policy/policy.h"

#include <stdarg.h>

#include "opener/policy/raw.h"

const char *const policy_key_names[N_KEYS] = {
	[KEY_DESCRIPTION] = "Description",
	[KEY_PATH] = "Path",
	[KEY_WITHIN] = "Within",
	[KEY_ACCESS] = "Access",
	[KEY_TYPE] = "Type",
	[KEY_DELIVER] = "Deliver",
	[KEY_ALLOW_USER] = "AllowUser",
	[KEY_ALLOW_GROUP] = "AllowGroup",
	[KEY_ALLOW_UNIT] = "AllowUnit",
	[KEY_CREATE] = "Create",
	[KEY_MODE] = "Mode",
	[KEY_AUDIT_REQUIRED] = "AuditRequired",
};

const char *grant_access_name(enum grant_access access)
{
	static const char *const names[] = {
		[GRANT_READ] = "read",
		[GRANT_WRITE] = "write",
		[GRANT_READ_WRITE] = "read-write",
		[GRANT_APPEND] = "append",
	};

	return names[access];
}

void raw_policy_clear(struct raw_policy *raw)
{
	for (size_t i = 0; i < raw->n_sections; i++)
		for (size_t key = 0; key < N_KEYS; key++)
			free(raw->sections[i].values[key].text);
	free(raw->sections);
	for (size_t i = 0; i < raw->n_files; i++)
		free(raw->files[i]);
	free(raw->files);
}

struct raw_section *raw_policy_find(struct raw_policy *raw, const char *name)
{
	for (size_t i = 0; i < raw->n_sections; i++)
		if (strcmp(raw->sections[i].name, name) == 0)
			return &raw->sections[i];
	return NULL;
}

void raw_policy_error(struct raw_policy *raw, const char *file, unsigned line, struct raw_section *section,
		      const char *key, const char *format, ...)
{
	char what[512], place[32] = "", message[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);

	if (line > 0)
		(void)snprintf(place, sizeof(place), ":%u", line);
	(void)snprintf(message, sizeof(message), "%s%s: %s%s%s%s%s%s", file, place, section ? "[" : "",
		       section ? section->name : "", section ? "]" : "", key ? " " : "", key ? key : "",
		       key ? "=: " : section ? ": " : "");
	(void)snprintf(message + strlen(message), sizeof(message) - strlen(message), "%s", what);

	raw->n_errors++;
	if (section)
		section->broken = true;
	else
		raw->all_broken = true;
	raw->report(&(struct policy_error){ .file = file, .line = line, .message = message }, raw->data);
}

void raw_policy_unreadable(struct raw_policy *raw, const char *file, int error)
{
	if (error_is_shortage(error))
		raw->shortage = error;
	else
		raw_policy_error(raw, file, 0, NULL, NULL, "can't be read: %s", strerror(-error));
}

static void grant_clear(struct grant *grant)
{
	free(grant->description);
	free(grant->path);
	free(grant->within);
	free(grant->users);
	free(grant->groups);
	for (size_t i = 0; i < grant->n_units; i++)
		free(grant->units[i]);
	free(grant->units);
}

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
	_cleanup_(raw_policy_clear) struct raw_policy raw = { .report = report, .data = data };
	_cleanup_(cleanup_policy) struct policy *policy = calloc(1, sizeof(*policy));
	int r;

	if (!policy)
		return -ENOMEM;

	r = policy_read_files(&raw, source);
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
