/* SPDX-License-Identifier: MIT
 *
 * One policy file to sections and values.
 *
 * libeconf reads the values. It also accepts in silence what a policy must not be vague about, and not the
 * same in each version: of a key given twice the first wins, a repeated section is joined, a line without "="
 * becomes a key of no value, an indented line continues the value above or is a key of its own, a "#" cuts a
 * value, quotes are taken off or not, a quote left open swallows the next line, a long line is cut in two. So
 * each line is looked at first, and what passes is what every version of libeconf reads alike.
 */
#include "opener/policy/parse.h"

#include <ctype.h>
#include <libeconf.h>
#include <stdarg.h>

#include "base/memory.h"
#include "base/write_all.h"
#include "kernel/memfd.h"
#include "kernel/pin.h"

/* libeconf reads into a buffer of BUFSIZ (8,192) bytes. */
#define LINE_SIZE_MAX 8000

struct parser {
	struct raw_policy *raw;
	const char *name;
	unsigned line;
	bool readable;		     /* every line so far can be given to libeconf */
	struct raw_section *section; /* NULL: before the first one, or below a bad one */
};

/* An error of one section, or (NULL) of none that is known. */
static _printf_(3, 4) void line_error(struct parser *parser, struct raw_section *section, const char *format, ...)
{
	char what[384];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);

	parser->readable = false;
	raw_policy_error(parser->raw, parser->name, parser->line, section, NULL, "%s", what);
}

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
		line_error(parser, NULL, "a section is [NAME] and nothing after it");
		return 0;
	}
	if (!label_is_valid(text + 1, length - 2)) {
		line_error(parser, NULL, "a section's name has 1 to %d letters, digits or . _ @ : + -",
			   OPENER_LABEL_SIZE - 1);
		return 0;
	}
	memcpy(name, text + 1, length - 2);
	name[length - 2] = '\0';

	section = raw_policy_find(parser->raw, name);
	r = section ? 0 : raw_policy_add(parser->raw, name, &section);
	if (r == -E2BIG) {
		line_error(parser, NULL, "more than %d files are too many", POLICY_SECTIONS_MAX);
		return 0;
	}
	if (r < 0)
		return r;

	if (section->file == parser->name)
		line_error(parser, section, "the section was already begun in line %u", section->line);
	section->file = parser->name;
	section->line = parser->line;
	parser->section = section;
	return 0;
}

/* What is given here replaces what the files before have given; in a file that is not read at all nothing counts any
 * more. libeconf says the text. */
static void note_value(const struct parser *parser, struct raw_value *value)
{
	free(value->text);
	*value = (struct raw_value){ .file = parser->name, .line = parser->line };
}

static void scan_key(struct parser *parser, const char *text, size_t length)
{
	const char *equals = memchr(text, '=', length), *value, *end = text + length;
	struct raw_section *section = parser->section;
	size_t key_length;
	int key;

	if (!equals) {
		line_error(parser, NULL, "neither a [section] nor Key=value");
		return;
	}
	for (key_length = (size_t)(equals - text); key_length > 0 && text[key_length - 1] == ' ';)
		key_length--;
	for (value = equals + 1; value < end && (*value == ' ' || *value == '\t');)
		value++;

	if (!section) {
		line_error(parser, NULL, "%.*s= stands in no section", (int)MIN_OF(key_length, 64U), text);
		return;
	}
	key = find_key(text, key_length);
	if (key < 0)
		line_error(parser, section, "%.*s=: there is no such key", (int)MIN_OF(key_length, 64U), text);
	else if (section->values[key].file == parser->name)
		line_error(parser, section, "%s=: was already given in line %u", policy_key_names[key],
			   section->values[key].line);
	else if (value == end)
		line_error(parser, section, "%s=: the value is empty; leave the line out", policy_key_names[key]);
	else if (memchr(value, '#', (size_t)(end - value)))
		line_error(parser, section, "%s=: a value can't contain \"#\"; comments have lines of their own",
			   policy_key_names[key]);
	else if (*value == '"' || end[-1] == '"')
		line_error(parser, section, "%s=: values stand without quotes", policy_key_names[key]);
	else
		note_value(parser, &section->values[key]);
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
			line_error(parser, NULL, "there is a control character in it (0x%02x)",
				   (unsigned char)text[i]);
			return 0;
		}
	if (length > LINE_SIZE_MAX) {
		line_error(parser, NULL, "more than %d characters are too many", LINE_SIZE_MAX);
		return 0;
	}
	if (text[0] == ' ' || text[0] == '\t') {
		line_error(parser, NULL, "it begins with a blank; values can't go on in the next line");
		return 0;
	}
	if (text[0] == '[')
		return scan_section(parser, text, length);
	scan_key(parser, text, length);
	return 0;
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

static int read_value(struct parser *parser, econf_file *file, struct raw_section *section, enum policy_key key)
{
	struct raw_value *value = &section->values[key];
	econf_err e = econf_getStringValue(file, section->name, policy_key_names[key], &value->text);

	if (e == ECONF_NOMEM)
		return -ENOMEM;
	if (e != ECONF_SUCCESS || !value->text) {
		raw_policy_error(parser->raw, parser->name, value->line, section, policy_key_names[key],
				 "can't be read: %s", econf_errString(e));
		return 0;
	}
	/* No value of ours goes on in another line. For libeconf lines of blanks below it do, and for 0.7 comments
	 * sometimes. */
	value->text[strcspn(value->text, "\n")] = '\0';
	return 0;
}

/* Those that the scan found. */
static int take_values(struct parser *parser, econf_file *file)
{
	for (size_t i = 0; i < parser->raw->n_sections; i++)
		for (size_t key = 0; key < N_KEYS; key++) {
			struct raw_section *section = &parser->raw->sections[i];
			int r = section->values[key].file == parser->name
					? read_value(parser, file, section, (enum policy_key)key) : 0;

			if (r < 0)
				return r;
		}
	return 0;
}

/* What was scanned is what libeconf reads: the bytes themselves, not the file, which may change meanwhile. */
static int read_values(struct parser *parser, const char *text, size_t size)
{
	_cleanup_close_ int fd = memfd_new("porterd-policy");
	char path[PIN_PROC_PATH_SIZE];
	econf_file *file = NULL;
	econf_err e;
	int r;

	if (fd < 0)
		return fd;
	r = write_all(fd, text, size);
	if (r < 0)
		return r;

	/* libeconf takes it for granted that there is memory, and dies where there is none. */
	r = memory_reserve(MEMORY_FOR_ECONF(size, parser->line));
	if (r < 0)
		return r;
	pin_proc_path(fd, path);
	e = econf_readFile(&file, path, "=", "#");
	if (e == ECONF_NOMEM)
		return -ENOMEM;
	/* It is there: only for want of a descriptor it can't be opened once more. */
	if (e == ECONF_NOFILE)
		return -EMFILE;
	if (e != ECONF_SUCCESS) {
		char *where = NULL;
		uint64_t line = 0;

		econf_errLocation(&where, &line);
		raw_policy_error(parser->raw, parser->name, (unsigned)line, NULL, NULL, "%s", econf_errString(e));
		free(where);
		return 0;
	}

	r = take_values(parser, file);
	econf_freeFile(file);
	return r;
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
	struct parser parser = { .raw = raw, .name = name, .readable = true };
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r;

	r = read_all(fd, &text, &size);
	if (r == -EFBIG) {
		raw_policy_error(raw, name, 0, NULL, NULL, "the file is larger than %zu bytes",
				 POLICY_FILE_SIZE_MAX);
		return 0;
	}
	if (r >= 0)
		r = scan(&parser, text, size);

	/* A file with an unclear line is not read at all; the sections that its lines stand in are broken. So
	 * are its other sections, whose values would be missing. */
	if (r >= 0 && parser.readable)
		r = read_values(&parser, text, size);
	else if (r >= 0)
		for (size_t i = 0; i < raw->n_sections; i++)
			if (raw->sections[i].file == name)
				raw->sections[i].broken = true;

	if (r < 0 && r != -ENOMEM) {
		raw_policy_unreadable(raw, name, r);
		return 0;
	}
	return r;
}
