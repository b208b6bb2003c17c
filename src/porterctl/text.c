/* SPDX-License-Identifier: MIT
 *
 * Text from elsewhere on its way to a terminal.
 */
#include "porterctl/text.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"
#include "porterctl/failure.h"

/* Decodes one character. Returns its bytes, 0 where there is no UTF-8. */
static size_t decode(const unsigned char *text, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = text[0] < 0x80   ? 1
		      : text[0] < 0xc0 ? 0
		      : text[0] < 0xe0 ? 2
		      : text[0] < 0xf0 ? 3
		      : text[0] < 0xf8 ? 4
				       : 0;
	uint32_t character = size == 1 ? text[0] : text[0] & (0x7fU >> size);

	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (text[i] & 0x3f);
	}
	if (size == 0 || character < least[size] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff))
		return 0;

	*ret = character;
	return size;
}

static bool steers_terminal(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) || /* C0, DEL, C1 */
	       character == 0x200e || character == 0x200f ||		      /* direction marks */
	       (character >= 0x2028 && character <= 0x202e) ||		      /* separators, embeddings */
	       (character >= 0x2066 && character <= 0x2069);		      /* isolates */
}

char *text_escape(const char *text)
{
	const unsigned char *position = (const unsigned char *)text;
	/* The worst: each byte becomes four. */
	char *escaped = malloc(strlen(text) * 4 + 1), *end = escaped;

	if (!escaped)
		failure_out_of_memory();

	while (*position) {
		uint32_t character;
		size_t size = decode(position, &character);

		if (size > 0 && !steers_terminal(character)) {
			memcpy(end, position, size);
			end += size;
		} else if (size > 1) {
			end += sprintf(end, "\\u%04x", (unsigned)character);
		} else {
			end += sprintf(end, "\\x%02x", *position);
			size = 1;
		}
		position += size;
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
