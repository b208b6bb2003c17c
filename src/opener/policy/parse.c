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
#include <ctype.h>
#include <libeconf.h>
#include <stdarg.h>

#include "base/memory.h"
#include "base/write_all.h"
#include "kernel/memfd.h"
#include "kernel/pin.h"
#include "opener/policy/raw.h"

/* libeconf reads into a buffer of BUFSIZ (8,192) bytes. */
#define LINE_SIZE_MAX 8000

struct parser {
	struct raw_policy *raw;
	const char *name;
	unsigned line;
	bool readable;			/* every line so far can be given to libeconf */
	char section[OPENER_LABEL_SIZE]; /* "": before the first one, or below a bad one */
	unsigned *given;		 /* by section and key, the line; by section and N_KEYS, its header's */
	size_t n_given;
};

#define GIVEN(parser, section, key) ((parser)->given[(section) * (N_KEYS + 1) + (size_t)(key)])

/* An error of one section, or of none that is known. */
static _printf_(3, 4) void line_error(struct parser *parser, const char *section, const char *format, ...)
{
	struct raw_section *broken = section && section[0] ? raw_policy_find(parser->raw, section) : NULL;
	char what[384];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);

	parser->readable = false;
	raw_policy_error(parser->raw, parser->name, parser->line, broken, NULL, "%s", what);
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

/* A section that is not there yet. NULL with *error set where that is not possible. */
static struct raw_section *add_section(struct parser *parser, const char *name, int *error)
{
	struct raw_policy *raw = parser->raw;

	*error = 0;
	if (raw->n_sections == POLICY_SECTIONS_MAX) {
		line_error(parser, NULL, "more than %d files are too many", POLICY_SECTIONS_MAX);
		return NULL;
	}
	if (raw->n_sections == raw->room) {
		size_t room = raw->room ? 2 * raw->room : 16;
		struct raw_section *sections = reallocarray(raw->sections, room, sizeof(*sections));

		if (!sections) {
			*error = -ENOMEM;
			return NULL;
		}
		raw->sections = sections;
		raw->room = room;
	}
	raw->sections[raw->n_sections] = (struct raw_section){ 0 };
	memcpy(raw->sections[raw->n_sections].name, name, strlen(name) + 1);
	return &raw->sections[raw->n_sections++];
}

/* Room to remember where each section's keys were given in this file. */
static int grow_given(struct parser *parser)
{
	size_t wanted = parser->raw->n_sections;
	unsigned *given;

	if (wanted <= parser->n_given)
		return 0;
	given = reallocarray(parser->given, wanted * (N_KEYS + 1), sizeof(*given));
	if (!given)
		return -ENOMEM;
	memset(given + parser->n_given * (N_KEYS + 1), 0,
	       (wanted - parser->n_given) * (N_KEYS + 1) * sizeof(*given));
	parser->given = given;
	parser->n_given = wanted;
	return 0;
}

static int scan_section(struct parser *parser, const char *text, size_t length)
{
	struct raw_section *section;
	char name[OPENER_LABEL_SIZE];
	size_t index;
	int r;

	parser->section[0] = '\0';
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
	if (!section)
		section = add_section(parser, name, &r);
	if (!section)
		return r;
	r = grow_given(parser);
	if (r < 0)
		return r;

	memcpy(parser->section, name, sizeof(name));
	section->file = parser->name;
	section->line = parser->line;

	index = (size_t)(section - parser->raw->sections);
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): grow_given() has made room for it. */
	if (GIVEN(parser, index, N_KEYS) > 0)
		line_error(parser, name, "the section was already begun in line %u", GIVEN(parser, index, N_KEYS));
	GIVEN(parser, index, N_KEYS) = parser->line;
	return 0;
}

static void scan_key(struct parser *parser, const char *text, size_t length)
{
	const char *equals = memchr(text, '=', length), *value, *end = text + length;
	struct raw_section *section;
	size_t key_length, index;
	int key;

	if (!equals) {
		line_error(parser, NULL, "neither a [section] nor Key=value");
		return;
	}
	for (key_length = (size_t)(equals - text); key_length > 0 && text[key_length - 1] == ' ';)
		key_length--;
	for (value = equals + 1; value < end && (*value == ' ' || *value == '\t');)
		value++;

	if (parser->section[0] == '\0') {
		line_error(parser, parser->section, "%.*s= stands in no section", (int)MIN_OF(key_length, 64U), text);
		return;
	}
	section = raw_policy_find(parser->raw, parser->section);
	index = (size_t)(section - parser->raw->sections);

	key = find_key(text, key_length);
	if (key < 0)
		line_error(parser, parser->section, "%.*s=: there is no such key", (int)MIN_OF(key_length, 64U), text);
	else if (GIVEN(parser, index, key) > 0)
		line_error(parser, parser->section, "%s=: was already given in line %u", policy_key_names[key],
			   GIVEN(parser, index, key));
	else if (value == end)
		line_error(parser, parser->section, "%s=: the value is empty; leave the line out", policy_key_names[key]);
	else if (memchr(value, '#', (size_t)(end - value)))
		line_error(parser, parser->section, "%s=: a value can't contain \"#\"; comments have lines of their own",
			   policy_key_names[key]);
	else if (*value == '"' || end[-1] == '"')
		line_error(parser, parser->section, "%s=: values stand without quotes", policy_key_names[key]);
	else
		GIVEN(parser, index, key) = parser->line;
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

/* Lays the values that the scan found over those of the files before. */
static int take_values(struct parser *parser, econf_file *file)
{
	for (size_t i = 0; i < parser->n_given; i++)
		for (size_t key = 0; key < N_KEYS; key++) {
			struct raw_section *section = &parser->raw->sections[i];
			unsigned line = GIVEN(parser, i, key);
			char *text = NULL;
			econf_err e;

			if (line == 0)
				continue;
			e = econf_getStringValue(file, section->name, policy_key_names[key], &text);
			if (e == ECONF_NOMEM)
				return -ENOMEM;
			if (e != ECONF_SUCCESS || !text) {
				free(text);
				raw_policy_error(parser->raw, parser->name, line, section,
						 policy_key_names[key], "can't be read: %s", econf_errString(e));
				continue;
			}
			/* No value of ours goes on in another line. For libeconf lines of blanks below it do, and for 0.7
			 * comments sometimes. */
			text[strcspn(text, "\n")] = '\0';
			free(section->values[key].text);
			section->values[key] = (struct raw_value){ text, parser->name, line };
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
		for (size_t i = 0; i < parser.n_given; i++)
			if (GIVEN(&parser, i, N_KEYS) > 0)
				raw->sections[i].broken = true;
	free(parser.given);

	if (r < 0 && r != -ENOMEM) {
		raw_policy_unreadable(raw, name, r);
		return 0;
	}
	return r;
}
