/* SPDX-License-Identifier: MIT
 *
 * Numbers as people write them, and as they do not.
 */
#include "base/number.h"

#include "base/clock.h"
#include "unit.h"

#define UNTOUCHED 4242

static const struct {
	const char *text;
	uint64_t max;
	int result;
	uint64_t number;
} numbers[] = {
	{ "0", 0, 0, 0 },
	{ "7", 7, 0, 7 },
	{ "8", 7, -EINVAL, UNTOUCHED },
	{ "10", 9, -EINVAL, UNTOUCHED },
	{ "1", 0, -EINVAL, UNTOUCHED },
	{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
	{ "18446744073709551616", UINT64_MAX, -EINVAL, UNTOUCHED },
	{ "18446744073709551620", UINT64_MAX, -EINVAL, UNTOUCHED },
	{ "99999999999999999999", UINT64_MAX, -EINVAL, UNTOUCHED },
	{ "00", 9, -EINVAL, UNTOUCHED },
	{ "010", 100, -EINVAL, UNTOUCHED },
	{ "", 9, -EINVAL, UNTOUCHED },
	{ "+1", 9, -EINVAL, UNTOUCHED },
	{ "-1", UINT64_MAX, -EINVAL, UNTOUCHED },
	{ " 1", 9, -EINVAL, UNTOUCHED },
	{ "1 ", 99, -EINVAL, UNTOUCHED },
	{ "1x", 99, -EINVAL, UNTOUCHED },
	{ "0x1", 99, -EINVAL, UNTOUCHED },
	{ "/", 99, -EINVAL, UNTOUCHED },
	{ ":", 99, -EINVAL, UNTOUCHED },
	{ "\xb1", 99, -EINVAL, UNTOUCHED },
};

START_TEST(a_number_is_digits_alone)
{
	uint64_t number = UNTOUCHED;

	ck_assert_int_eq(number_parse(numbers[_i].text, strlen(numbers[_i].text), numbers[_i].max, &number),
			 numbers[_i].result);
	ck_assert_uint_eq(number, numbers[_i].number);
}
END_TEST

START_TEST(a_part_of_a_text_may_be_one)
{
	uint64_t number = UNTOUCHED;

	ck_assert_int_eq(number_parse("123:456", 3, 999, &number), 0);
	ck_assert_uint_eq(number, 123);
	ck_assert_int_eq(number_parse("123", 0, 999, &number), -EINVAL);
}
END_TEST

START_TEST(a_number_is_written)
{
	static const uint64_t each[] = { 0, 9, 10, 4294967295, UINT64_MAX };
	char text[NUMBER_TEXT_SIZE], wanted[32];

	for (size_t i = 0; i < ELEMENTSOF(each); i++) {
		char *end = number_write(each[i], text);

		(void)snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)each[i]);
		ck_assert_str_eq(text, wanted);
		ck_assert_ptr_eq(end, text + strlen(wanted));
	}
}
END_TEST

START_TEST(no_id_means_none)
{
	uint32_t id = UNTOUCHED;

	ck_assert_int_eq(number_parse_id("4294967295", 10, &id), -EINVAL);
	ck_assert_int_eq(number_parse_id("4294967296", 10, &id), -EINVAL);
	ck_assert_uint_eq(id, UNTOUCHED);
	ck_assert_int_eq(number_parse_id("4294967294", 10, &id), 0);
	ck_assert_uint_eq(id, UINT32_MAX - 1);
}
END_TEST

START_TEST(seconds_end_with_a_year)
{
	uint64_t usec = UNTOUCHED;

	ck_assert_int_eq(number_parse_seconds("31622401", &usec), -EINVAL);
	ck_assert_int_eq(number_parse_seconds("1s", &usec), -EINVAL);
	ck_assert_uint_eq(usec, UNTOUCHED);
	ck_assert_int_eq(number_parse_seconds("31622400", &usec), 0);
	ck_assert_uint_eq(usec, 31622400 * USEC_PER_SEC);
	ck_assert_int_eq(number_parse_seconds("0", &usec), 0);
	ck_assert_uint_eq(usec, 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(a_number_is_digits_alone, ELEMENTSOF(numbers)),
		UNIT_TEST(a_part_of_a_text_may_be_one),
		UNIT_TEST(a_number_is_written),
		UNIT_TEST(no_id_means_none),
		UNIT_TEST(seconds_end_with_a_year),
		{ 0 },
	};

	return unit_run("number", tests, NULL);
}
