/* SPDX-License-Identifier: MIT
 *
 * UTF-8.
 */
#include "base/utf8.h"

size_t utf8_decode(const char *text, uint32_t *ret)
{
	/* The smallest character that needs so many bytes. */
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *bytes = (const unsigned char *)text;
	size_t size = bytes[0] < 0x80	? 1
		      : bytes[0] < 0xc0 ? 0
		      : bytes[0] < 0xe0 ? 2
		      : bytes[0] < 0xf0 ? 3
		      : bytes[0] < 0xf8 ? 4
					: 0;
	uint32_t character = size == 1 ? bytes[0] : bytes[0] & (0x7fU >> size);

	/* A NUL is no continuation, so this never reads past the end. */
	for (size_t i = 1; i < size; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (bytes[i] & 0x3f);
	}
	if (size == 0 || character < least[size] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff))
		return 0;

	*ret = character;
	return size;
}

bool utf8_is_valid(const char *text)
{
	while (*text) {
		uint32_t character;
		size_t size = utf8_decode(text, &character);

		if (size == 0)
			return false;
		text += size;
	}
	return true;
}
