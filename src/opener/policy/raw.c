/* SPDX-License-Identifier: MIT
 *
 * The policy between text and meaning.
 */
#include "opener/policy/raw.h"

#include <stdarg.h>

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

const char *raw_policy_add_file(struct raw_policy *raw, const char *directory, const char *name)
{
	char **files = reallocarray(raw->files, raw->n_files + 1, sizeof(*files));

	if (!files)
		return NULL;
	raw->files = files;
	if (asprintf(&files[raw->n_files], "%s/%s", directory, name) < 0)
		return NULL;
	return files[raw->n_files++];
}

struct raw_section *raw_policy_find(struct raw_policy *raw, const char *name)
{
	for (size_t i = 0; i < raw->n_sections; i++)
		if (strcmp(raw->sections[i].name, name) == 0)
			return &raw->sections[i];
	return NULL;
}

int raw_policy_add(struct raw_policy *raw, const char *name, struct raw_section **ret)
{
	struct raw_section *sections;

	if (raw->n_sections == POLICY_SECTIONS_MAX)
		return -E2BIG;
	sections = reallocarray(raw->sections, raw->n_sections + 1, sizeof(*sections));
	if (!sections)
		return -ENOMEM;
	raw->sections = sections;
	*ret = &sections[raw->n_sections++];
	**ret = (struct raw_section){ 0 };
	memcpy((*ret)->name, name, strlen(name) + 1);
	return 0;
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
