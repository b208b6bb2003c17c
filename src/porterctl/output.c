/* SPDX-License-Identifier: MIT
 *
 * What porterctl prints.
 */
#include "porterctl/output.h"

#include "base/utf8.h"
#include "porterctl/porterctl.h"

void output_out_of_memory(void)
{
	(void)fputs("porterctl: out of memory\n", stderr);
	exit(EXIT_REFUSED);
}

static bool steers_terminal(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) || /* C0, DEL, C1 */
	       character == 0x200e || character == 0x200f ||		      /* direction marks */
	       (character >= 0x2028 && character <= 0x202e) ||		      /* separators, embeddings */
	       (character >= 0x2066 && character <= 0x2069);		      /* isolates */
}

char *output_escape(const char *text)
{
	/* The worst: each byte becomes four. */
	char *escaped = malloc(strlen(text) * 4 + 1), *end = escaped;

	if (!escaped)
		output_out_of_memory();

	while (*text) {
		uint32_t character;
		size_t size = utf8_decode(text, &character);

		if (size > 0 && !steers_terminal(character)) {
			memcpy(end, text, size);
			end += size;
		} else if (size > 1) {
			end += sprintf(end, "\\u%04x", (unsigned)character);
		} else {
			end += sprintf(end, "\\x%02x", (unsigned char)*text);
			size = 1;
		}
		text += size;
	}

	*end = '\0';
	return escaped;
}

/* How many columns an escaped text takes, about: one for each character. */
static size_t text_width(const char *escaped)
{
	size_t width = 0;

	for (; *escaped; escaped++)
		width += ((unsigned char)*escaped & 0xc0) != 0x80;
	return width;
}

void output_table(const char *const *cells, size_t n_rows, size_t n_columns)
{
	_cleanup_free_ size_t *widths = calloc(n_columns, sizeof(size_t));

	if (!widths)
		output_out_of_memory();

	/* First every width, then every line. */
	for (int printing = 0; printing < 2; printing++)
		for (size_t i = 0; i < n_rows * n_columns; i++) {
			_cleanup_free_ char *escaped = output_escape(cells[i] ? cells[i] : "-");
			size_t column = i % n_columns, width = text_width(escaped);

			if (!printing)
				widths[column] = width > widths[column] ? width : widths[column];
			else if (column + 1 == n_columns)
				(void)printf("%s\n", escaped);
			else
				(void)printf("%s%*s", escaped, (int)(widths[column] - width + 2), "");
		}
}

void output_json(const json_t *value)
{
	/* JSON escapes C0 by itself; ASCII leaves nothing else that a terminal could take for a command. */
	size_t flags = isatty(STDOUT_FILENO) ? JSON_INDENT(2) | JSON_ENSURE_ASCII : JSON_COMPACT;
	_cleanup_free_ char *text = json_dumps(value, flags);

	if (!text)
		output_out_of_memory();
	(void)puts(text);
}
