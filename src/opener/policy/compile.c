/* SPDX-License-Identifier: MIT
 *
 * From a section's texts to a grant: each value is checked, and names of users and groups are looked up here,
 * once, so that no request ever waits for a directory server.
 */
#include "opener/policy/compile.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>

#include "base/memory.h"
#include "base/number.h"
#include "base/unit_name.h"
#include "base/utf8.h"
#include "kernel/identity.h"

#define DESCRIPTION_MAX 1024
#define BLANKS " \t"

struct compiler {
	struct raw_policy *raw;
	struct raw_section *section;
	struct grant *grant;
};

#define VALUE_ERROR(compiler, key, ...)                                                                  \
	raw_policy_error((compiler)->raw, (compiler)->section->values[key].file,                        \
			 (compiler)->section->values[key].line, (compiler)->section,                     \
			 policy_key_names[key], __VA_ARGS__)

#define SECTION_ERROR(compiler, ...)                                                                     \
	raw_policy_error((compiler)->raw, (compiler)->section->file, (compiler)->section->line,         \
			 (compiler)->section, NULL, __VA_ARGS__)

static const char *value(const struct compiler *compiler, enum policy_key key)
{
	return compiler->section->values[key].text;
}

/* The index of the key's value among the words; `otherwise` where it was not given or is none of them. */
static size_t compile_word(struct compiler *compiler, enum policy_key key, const char *const *words,
			   size_t n_words, size_t otherwise)
{
	const char *text = value(compiler, key);
	char expected[128] = "";

	if (!text)
		return otherwise;
	for (size_t i = 0; i < n_words; i++) {
		size_t used = strlen(expected);

		if (strcmp(text, words[i]) == 0)
			return i;
		(void)snprintf(expected + used, sizeof(expected) - used, "%s%s",
			       i == 0 ? "" : i + 1 == n_words ? " or " : ", ", words[i]);
	}
	VALUE_ERROR(compiler, key, "\"%.64s\" is not %s", text, expected);
	return otherwise;
}

/* Absolute, and written as the kernel would: the policy is compared and shown as text. */
static bool path_is_plain(const char *path)
{
	size_t length = strlen(path);

	if (path[0] != '/' || length >= PATH_MAX)
		return false;
	for (const char *part = path; *part == '/';) {
		size_t size = strcspn(++part, "/");

		if (size == 0 || size > NAME_MAX || (size == 1 && part[0] == '.') ||
		    (size == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part += size;
	}
	return true;
}

static int compile_path(struct compiler *compiler, enum policy_key key, char **ret)
{
	const char *text = value(compiler, key);

	if (!text)
		return 0;
	if (!path_is_plain(text))
		VALUE_ERROR(compiler, key, "\"%.256s\" is not an absolute path without \"//\", \".\", \"..\" or "
			    "a \"/\" at its end", text);
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int compile_description(struct compiler *compiler)
{
	const char *text = value(compiler, KEY_DESCRIPTION);

	if (!text)
		return 0;
	if (strlen(text) > DESCRIPTION_MAX || !utf8_is_valid(text)) {
		VALUE_ERROR(compiler, KEY_DESCRIPTION, "not UTF-8, or longer than %d bytes", DESCRIPTION_MAX);
		return 0;
	}
	compiler->grant->description = strdup(text);
	return compiler->grant->description ? 0 : -ENOMEM;
}

static void compile_boolean(struct compiler *compiler, enum policy_key key, bool *ret)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	*ret = compile_word(compiler, key, words, ELEMENTSOF(words), 0) % 2 == 1;
}

static void compile_mode(struct compiler *compiler)
{
	const char *text = value(compiler, KEY_MODE);

	compiler->grant->mode = 0600;
	if (!text)
		return;
	if (strlen(text) > 4 || text[strspn(text, "01234567")] != '\0' || strtoul(text, NULL, 8) > 0777)
		VALUE_ERROR(compiler, KEY_MODE, "\"%.64s\" is not an octal mode up to 0777", text);
	else
		compiler->grant->mode = (mode_t)strtoul(text, NULL, 8);
}

/* False with errno, or without where there is none. */
static bool find_id(enum policy_key key, const char *name, uint32_t *ret)
{
	/* Look-ups take it for granted that there is memory. */
	errno = -memory_reserve(MEMORY_FOR_LOOK_UP);
	if (errno)
		return false;
	if (key == KEY_ALLOW_USER) {
		const struct passwd *user = getpwnam(name);

		if (user)
			*ret = user->pw_uid;
		return user;
	} else {
		const struct group *group = getgrnam(name);

		if (group)
			*ret = group->gr_gid;
		return group;
	}
}

/* The number of a user or group. False where the word is in error, and was reported. */
static bool compile_id(struct compiler *compiler, enum policy_key key, const char *word, uint32_t *ret)
{
	const char *kind = key == KEY_ALLOW_USER ? "user" : "group";

	if (word[strspn(word, "0123456789")] == '\0') {
		if (number_parse_id(word, strlen(word), ret) < 0) {
			VALUE_ERROR(compiler, key, "\"%.64s\" is not the number of a %s: it is too large, or begins "
				    "with a 0", word, kind);
			return false;
		}
	} else if (!find_id(key, word, ret)) {
		VALUE_ERROR(compiler, key, "there is no %s \"%.64s\"%s%s", kind, word, errno ? ": " : "",
			    errno ? strerror(errno) : "");
		return false;
	}

	/* The overflow IDs are everybody's who can't be named, so nobody's to be granted anything. */
	if (*ret == IDENTITY_UID_NOBODY) {
		VALUE_ERROR(compiler, key, "\"%.64s\" is %u, which is what anybody looks like who can't be named",
			    word, *ret);
		return false;
	}
	return true;
}

static int compile_entry(struct compiler *compiler, enum policy_key key, const char *word)
{
	struct grant *grant = compiler->grant;

	if (key == KEY_ALLOW_USER) {
		grant->n_users += compile_id(compiler, key, word, &grant->users[grant->n_users]);
	} else if (key == KEY_ALLOW_GROUP) {
		grant->n_groups += compile_id(compiler, key, word, &grant->groups[grant->n_groups]);
	} else if (!unit_name_is_valid(word, strlen(word))) {
		VALUE_ERROR(compiler, key, "\"%.256s\" is not the full name of a unit that processes run in, such as "
			    "nginx.service or getty@tty1.service", word);
	} else {
		grant->units[grant->n_units] = strdup(word);
		if (!grant->units[grant->n_units])
			return -ENOMEM;
		grant->n_units++;
	}
	return 0;
}

static int compile_list(struct compiler *compiler, enum policy_key key)
{
	_cleanup_free_ char *words = NULL;
	char *rest = NULL;
	size_t count = 0;

	if (!value(compiler, key))
		return 0;
	words = strdup(value(compiler, key));
	if (!words)
		return -ENOMEM;

	for (char *word = strtok_r(words, BLANKS, &rest); word; word = strtok_r(NULL, BLANKS, &rest)) {
		int r;

		if (++count > POLICY_LIST_MAX) {
			VALUE_ERROR(compiler, key, "more than %d entries are too many", POLICY_LIST_MAX);
			return 0;
		}
		r = compile_entry(compiler, key, word);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compile_lists(struct compiler *compiler)
{
	static const enum policy_key keys[] = { KEY_ALLOW_USER, KEY_ALLOW_GROUP, KEY_ALLOW_UNIT };
	struct grant *grant = compiler->grant;

	grant->users = calloc(POLICY_LIST_MAX, sizeof(*grant->users));
	grant->groups = calloc(POLICY_LIST_MAX, sizeof(*grant->groups));
	grant->units = calloc(POLICY_LIST_MAX, sizeof(*grant->units));
	if (!grant->users || !grant->groups || !grant->units)
		return -ENOMEM;

	for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
		int r = compile_list(compiler, keys[i]);

		if (r < 0)
			return r;
	}
	if (!value(compiler, KEY_ALLOW_USER) && !value(compiler, KEY_ALLOW_GROUP) &&
	    !value(compiler, KEY_ALLOW_UNIT))
		SECTION_ERROR(compiler, "none of AllowUser=, AllowGroup= and AllowUnit= is given");
	return 0;
}

/* What fits together and what does not. */
static void check_combination(struct compiler *compiler)
{
	struct grant *grant = compiler->grant;

	if (!grant->path)
		SECTION_ERROR(compiler, "Path= is missing");
	else if (grant->within && (strncmp(grant->path, grant->within, strlen(grant->within)) != 0 ||
				   grant->path[strlen(grant->within)] != '/'))
		VALUE_ERROR(compiler, KEY_WITHIN, "Path=%.256s is not below it", grant->path);

	if (grant->copy && (grant->access != GRANT_READ || grant->type != GRANT_REGULAR))
		VALUE_ERROR(compiler, KEY_DELIVER, "copy goes with Access=read and Type=regular only");
	if (grant->create && (grant->access == GRANT_READ || grant->type != GRANT_REGULAR))
		VALUE_ERROR(compiler, KEY_CREATE, "goes with Type=regular and access for writing only");
	if (value(compiler, KEY_MODE) && !grant->create)
		VALUE_ERROR(compiler, KEY_MODE, "goes with Create=yes only");
	if (grant->type == GRANT_SOCKET && value(compiler, KEY_ACCESS) && grant->access != GRANT_READ_WRITE)
		VALUE_ERROR(compiler, KEY_ACCESS, "a connected socket is always read-write");
	if (grant->type == GRANT_SOCKET)
		grant->access = GRANT_READ_WRITE;
}

int policy_compile_section(struct raw_policy *raw, struct raw_section *section, struct grant *ret)
{
	static const char *const types[] = {
		[GRANT_REGULAR] = "regular",
		[GRANT_DEVICE] = "device",
		[GRANT_SOCKET] = "socket",
	};
	static const char *const deliveries[] = { "descriptor", "copy" };
	struct compiler compiler = { raw, section, ret };
	int r;

	memcpy(ret->name, section->name, sizeof(ret->name));
	ret->broken = true;

	/* A section with unread lines would only be complained of again for what those lines say. */
	if (section->broken)
		return 0;

	r = compile_path(&compiler, KEY_PATH, &ret->path);
	if (r >= 0)
		r = compile_path(&compiler, KEY_WITHIN, &ret->within);
	if (r >= 0)
		r = compile_description(&compiler);
	if (r < 0)
		return r;

	ret->access = (enum grant_access)compile_word(&compiler, KEY_ACCESS, grant_access_words,
						      N_GRANT_ACCESSES, GRANT_READ);
	ret->type = (enum grant_type)compile_word(&compiler, KEY_TYPE, types, ELEMENTSOF(types), GRANT_REGULAR);
	ret->copy = compile_word(&compiler, KEY_DELIVER, deliveries, ELEMENTSOF(deliveries), 0) == 1;
	compile_boolean(&compiler, KEY_CREATE, &ret->create);
	compile_mode(&compiler);
	compile_boolean(&compiler, KEY_AUDIT_REQUIRED, &ret->audit_required);
	r = compile_lists(&compiler);
	if (r < 0)
		return r;

	check_combination(&compiler);
	ret->broken = section->broken;
	return 0;
}
