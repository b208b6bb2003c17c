/* SPDX-License-Identifier: MIT
 *
 * Text from elsewhere on its way to a terminal.
 */
#include "porterctl/text.h"

#include <stdbool.h>

#include "base/macro.h"
#include "base/utf8.h"
#include "porterctl/failure.h"

static bool steers_terminal(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) || /* C0, DEL, C1 */
	       character == 0x200e || character == 0x200f ||		      /* direction marks */
	       (character >= 0x2028 && character <= 0x202e) ||		      /* separators, embeddings */
	       (character >= 0x2066 && character <= 0x2069);		      /* isolates */
}

char *text_escape(const char *text)
{
	/* The worst: each byte becomes four. */
	char *escaped = malloc(strlen(text) * 4 + 1), *end = escaped;

	if (!escaped)
		failure_out_of_memory();

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

size_t text_width(const char *escaped)
{
	size_t width = 0;

	for (; *escaped; escaped++)
		width += ((unsigned char)*escaped & 0xc0) != 0x80;
	return width;
}

void text_print_table(const char *const *cells, size_t n_rows, size_t n_columns)
{
	_cleanup_free_ size_t *widths = calloc(n_columns, sizeof(size_t));

	if (!widths)
		failure_out_of_memory();

	/* First every width, then every line. */
	for (int printing = 0; printing < 2; printing++)
		for (size_t i = 0; i < n_rows * n_columns; i++) {
			_cleanup_free_ char *escaped = text_escape(cells[i] ? cells[i] : "-");
			size_t column = i % n_columns, width = text_width(escaped);

			if (!printing)
				widths[column] = width > widths[column] ? width : widths[column];
			else if (column + 1 == n_columns)
				(void)printf("%s\n", escaped);
			else
				(void)printf("%s%*s", escaped, (int)(widths[column] - width + 2), "");
		}
}
