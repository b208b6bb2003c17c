/* SPDX-License-Identifier: MIT
 *
 * One policy file to sections and values.
 *
 * Readers of such files, libeconf and its versions among them, differ in what they make of a key that is given twice, a
 * repeated section, a line without "=", an indented line, a "#" in a value, quotes, and long lines; and all take it in
 * silence. A policy must not be vague: what could be read in two ways is an error.
 */
#include "opener/policy/parse.h"

#include <ctype.h>

/* Others read into a buffer of BUFSIZ (8,192) bytes. */
#define LINE_SIZE_MAX 8000

struct parser {
	struct raw_policy *raw;
	const char *name;
	unsigned line;
	struct raw_section *section; /* NULL: before the first one, or below a bad one */
};

/* An error of one section, or (NULL) of none that is known. */
#define LINE_ERROR(parser, section, ...) \
	raw_policy_error((parser)->raw, (parser)->name, (parser)->line, (section), NULL, __VA_ARGS__)

static bool label_is_valid(const char *label, size_t length)
{
	static const char others[] = { '.', '_', '@', ':', '+', '-' };

	if (length == 0 || length >= OPENER_LABEL_SIZE)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)label[i]) && !memchr(others, label[i], sizeof(others)))
			return false;
	return true;
}

static int find_key(const char *name, size_t length)
{
	for (int key = 0; key < N_KEYS; key++)
		if (strlen(policy_key_names[key]) == length && memcmp(policy_key_names[key], name, length) == 0)
			return key;
	return -1;
}

static int scan_section(struct parser *parser, const char *text, size_t length)
{
	struct raw_section *section;
	char name[OPENER_LABEL_SIZE];
	int r;

	parser->section = NULL;
	if (text[length - 1] != ']') {
		LINE_ERROR(parser, NULL, "a section is [NAME] and nothing after it");
		return 0;
	}
	if (!label_is_valid(text + 1, length - 2)) {
		LINE_ERROR(parser, NULL, "a section's name has 1 to %d letters, digits or . _ @ : + -",
			   OPENER_LABEL_SIZE - 1);
		return 0;
	}
	memcpy(name, text + 1, length - 2);
	name[length - 2] = '\0';

	section = raw_policy_find(parser->raw, name);
	r = section ? 0 : raw_policy_add(parser->raw, name, &section);
	if (r == -E2BIG) {
		LINE_ERROR(parser, NULL, "more than %d files are too many", POLICY_SECTIONS_MAX);
		return 0;
	}
	if (r < 0)
		return r;

	if (section->file == parser->name)
		LINE_ERROR(parser, section, "the section was already begun in line %u", section->line);
	section->file = parser->name;
	section->line = parser->line;
	parser->section = section;
	return 0;
}

/* What is given here replaces what the files before have given. */
static int take_value(const struct parser *parser, struct raw_value *value, const char *text, size_t length)
{
	free(value->text);
	*value = (struct raw_value){ strndup(text, length), parser->name, parser->line };
	return value->text ? 0 : -ENOMEM;
}

static int scan_key(struct parser *parser, const char *text, size_t length)
{
	const char *equals = memchr(text, '=', length), *value, *end = text + length;
	struct raw_section *section = parser->section;
	size_t key_length;
	int key;

	if (!equals) {
		LINE_ERROR(parser, NULL, "neither a [section] nor Key=value");
		return 0;
	}
	for (key_length = (size_t)(equals - text); key_length > 0 && text[key_length - 1] == ' ';)
		key_length--;
	for (value = equals + 1; value < end && (*value == ' ' || *value == '\t');)
		value++;

	if (!section) {
		LINE_ERROR(parser, NULL, "%.*s= stands in no section", (int)MIN_OF(key_length, 64U), text);
		return 0;
	}
	key = find_key(text, key_length);
	if (key < 0)
		LINE_ERROR(parser, section, "%.*s=: there is no such key", (int)MIN_OF(key_length, 64U), text);
	else if (section->values[key].file == parser->name)
		LINE_ERROR(parser, section, "%s=: was already given in line %u", policy_key_names[key],
			   section->values[key].line);
	else if (value == end)
		LINE_ERROR(parser, section, "%s=: the value is empty; leave the line out", policy_key_names[key]);
	else if (memchr(value, '#', (size_t)(end - value)))
		LINE_ERROR(parser, section, "%s=: a value can't contain \"#\"; comments have lines of their own",
			   policy_key_names[key]);
	else if (*value == '"' || end[-1] == '"')
		LINE_ERROR(parser, section, "%s=: values stand without quotes", policy_key_names[key]);
	else
		return take_value(parser, &section->values[key], value, (size_t)(end - value));
	return 0;
}

/* A line that is not clear breaks more than the section above it: it may have been meant for the next one's
 * beginning. */
static int scan_line(struct parser *parser, const char *text, size_t length)
{
	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	if (length == 0 || text[0] == '#')
		return 0;

	for (size_t i = 0; i < length; i++)
		if (iscntrl((unsigned char)text[i]) && text[i] != '\t') {
			LINE_ERROR(parser, NULL, "there is a control character in it (0x%02x)",
				   (unsigned char)text[i]);
			return 0;
		}
	if (length > LINE_SIZE_MAX) {
		LINE_ERROR(parser, NULL, "more than %d characters are too many", LINE_SIZE_MAX);
		return 0;
	}
	if (text[0] == ' ' || text[0] == '\t') {
		LINE_ERROR(parser, NULL, "it begins with a blank; values can't go on in the next line");
		return 0;
	}
	if (text[0] == '[')
		return scan_section(parser, text, length);
	return scan_key(parser, text, length);
}

static int scan(struct parser *parser, const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((newline ? newline : end) - text);
		int r;

		parser->line++;
		r = scan_line(parser, text, length);
		if (r < 0)
			return r;
		text += length + 1;
	}
	return 0;
}

/* -EFBIG if there is more than a policy file may hold. */
static int read_all(int fd, char **ret, size_t *ret_size)
{
	_cleanup_free_ char *text = malloc(POLICY_FILE_SIZE_MAX + 1);
	size_t size = 0;

	if (!text)
		return -ENOMEM;
	while (size <= POLICY_FILE_SIZE_MAX) {
		ssize_t n = read(fd, text + size, POLICY_FILE_SIZE_MAX + 1 - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			*ret = TAKE_POINTER(text);
			*ret_size = size;
			return 0;
		}
		size += (size_t)n;
	}
	return -EFBIG;
}

int policy_parse_file(struct raw_policy *raw, int fd, const char *name)
{
	struct parser parser = { .raw = raw, .name = name };
	_cleanup_free_ char *text = NULL;
	size_t size = 0, errors = raw->n_errors;
	int r = read_all(fd, &text, &size);

	if (r == -EFBIG) {
		raw_policy_error(raw, name, 0, NULL, NULL, "the file is larger than %zu bytes",
				 POLICY_FILE_SIZE_MAX);
		return 0;
	}
	if (r >= 0)
		r = scan(&parser, text, size);

	/* Of a file with an unclear line nothing counts: what that line was meant to say could be missing anywhere. */
	for (size_t i = 0; raw->n_errors > errors && i < raw->n_sections; i++)
		if (raw->sections[i].file == name)
			raw->sections[i].broken = true;

	if (r < 0 && r != -ENOMEM) {
		raw_policy_unreadable(raw, name, r);
		return 0;
	}
	return r;
}
