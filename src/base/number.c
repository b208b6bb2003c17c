/* SPDX-License-Identifier: MIT
 *
 * Numbers as people write them.
 */
#include "base/number.h"

#include "base/clock.h"
#include "base/macro.h"

#define SECONDS_MAX (UINT64_C(366) * 24 * 3600)

int number_parse(const char *text, size_t size, uint64_t max, uint64_t *ret)
{
	uint64_t number = 0;

	if (size == 0 || (size > 1 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		uint64_t digit = (uint64_t)text[i] - '0';

		if (text[i] < '0' || text[i] > '9' || digit > max || number > (max - digit) / 10)
			return -EINVAL;
		number = 10 * number + digit;
	}

	*ret = number;
	return 0;
}

int number_parse_id(const char *text, size_t size, uint32_t *ret)
{
	uint64_t number;
	int r = number_parse(text, size, UINT32_MAX - 1, &number);

	if (r >= 0)
		*ret = (uint32_t)number;
	return r;
}

char *number_write(uint64_t number, char text[static NUMBER_TEXT_SIZE])
{
	char digits[NUMBER_TEXT_SIZE], *at = digits + sizeof(digits);
	size_t size;

	*--at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) > 0);

	size = (size_t)(digits + sizeof(digits) - at);
	memcpy(text, at, size);
	return text + size - 1;
}

int number_parse_seconds(const char *text, uint64_t *ret_usec)
{
	uint64_t seconds;
	int r = number_parse(text, strlen(text), SECONDS_MAX, &seconds);

	if (r >= 0)
		*ret_usec = seconds * USEC_PER_SEC;
	return r;
}
