/* SPDX-License-Identifier: MIT
 *
 * UTF-8, and what only looks like it.
 */
#include "base/utf8.h"

#include "unit.h"

static const struct {
	const char *text;
	size_t size; /* 0: no UTF-8 */
	uint32_t character;
} texts[] = {
	{ "a", 1, 'a' },
	{ "\x7f", 1, 0x7f },
	{ "\xc2\x80x", 2, 0x80 },
	{ "\xdf\xbf", 2, 0x7ff },
	{ "\xe0\xa0\x80", 3, 0x800 },
	{ "\xed\x9f\xbf", 3, 0xd7ff },
	{ "\xee\x80\x80", 3, 0xe000 },
	{ "\xef\xbf\xbf", 3, 0xffff },
	{ "\xf0\x90\x80\x80", 4, 0x10000 },
	{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
	{ "\xf4\x90\x80\x80", 0, 0 }, /* beyond the last */
	{ "\xf5\x80\x80\x80", 0, 0 },
	{ "\xf8\x88\x80\x80\x80", 0, 0 },
	{ "\xff", 0, 0 },
	{ "\xc0\xaf", 0, 0 }, /* longer than need be */
	{ "\xc1\xbf", 0, 0 },
	{ "\xe0\x9f\xbf", 0, 0 },
	{ "\xf0\x8f\xbf\xbf", 0, 0 },
	{ "\xed\xa0\x80", 0, 0 }, /* surrogates */
	{ "\xed\xbf\xbf", 0, 0 },
	{ "\x80", 0, 0 }, /* a continuation of nothing */
	{ "\xbf", 0, 0 },
	{ "\xc3", 0, 0 }, /* cut */
	{ "\xe2\x82", 0, 0 },
	{ "\xf0\x9f\x98", 0, 0 },
	{ "\xc3(", 0, 0 },
	{ "\xc3\xc3", 0, 0 },
	{ "\xe2(\xac", 0, 0 },
};

START_TEST(characters_are_read)
{
	uint32_t character = 0;
	char text[16];

	ck_assert_uint_eq(utf8_decode(texts[_i].text, &character), texts[_i].size);
	ck_assert_uint_eq(character, texts[_i].character);

	(void)snprintf(text, sizeof(text), "ab%s", texts[_i].text);
	ck_assert_int_eq(utf8_is_valid(text), texts[_i].size > 0);
}
END_TEST

START_TEST(nothing_is_valid)
{
	ck_assert(utf8_is_valid(""));
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(characters_are_read, ELEMENTSOF(texts)),
		UNIT_TEST(nothing_is_valid),
		{ 0 },
	};

	return unit_run("utf8", tests, NULL);
}
