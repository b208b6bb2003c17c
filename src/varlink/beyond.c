/* SPDX-License-Identifier: MIT
 *
 * JSON that is valid, and beyond what the library reads.
 */
#include "varlink/beyond.h"

#include <ctype.h>
#include <math.h>

#include "base/macro.h"

#define ESCAPE_SIZE 6 /* \uXXXX */
/* No integer, and as short as the shortest number that is too large. */
#define NO_INTEGER "0.5"
#define NUMBER_SIZE_MAX 400

/* The number behind \u; -1: this is no such escape. */
static long escaped(const char *text, const char *end)
{
	char digits[5] = "";

	if (end - text < ESCAPE_SIZE || text[0] != '\\' || text[1] != 'u')
		return -1;
	memcpy(digits, text + 2, 4);
	for (size_t i = 0; i < 4; i++)
		if (!isxdigit((unsigned char)digits[i]))
			return -1;
	return strtol(digits, NULL, 16);
}

static bool is_high(long code)
{
	return code >= 0xd800 && code < 0xdc00;
}

static bool is_low(long code)
{
	return code >= 0xdc00 && code < 0xe000;
}

/* From an escape's backslash; returns what is behind it. */
static char *replace_escape(char *text, const char *end, bool no_nul)
{
	const char *nul = no_nul ? "\\ufffd" : "\\u0000";
	long code = escaped(text, end);

	if (code < 0)
		return text + MIN_OF((ptrdiff_t)2, end - text);
	if (is_high(code) && is_low(escaped(text + ESCAPE_SIZE, end)))
		return text + 2 * ESCAPE_SIZE;
	if (is_high(code) || is_low(code) || code == 0)
		memcpy(text, nul, ESCAPE_SIZE);
	return text + ESCAPE_SIZE;
}

/* From behind the opening quote; returns what is behind the closing one. */
static char *replace_in_string(char *text, const char *end, bool no_nul)
{
	while (text < end && *text != '"')
		text = *text == '\\' ? replace_escape(text, end, no_nul) : text + 1;
	return text < end ? text + 1 : text;
}

static bool is_of_number(char c)
{
	return isdigit((unsigned char)c) || strchr("+-.eE", c);
}

static size_t count_digits(const char *text, const char *end)
{
	size_t count = 0;

	while (text + count < end && isdigit((unsigned char)text[count]))
		count++;
	return count;
}

/* -12.5e+3: what is no such number is to be refused. */
static bool is_number(const char *text, const char *end)
{
	const char *whole = text + (text < end && *text == '-');
	size_t digits = count_digits(whole, end);

	if (digits == 0 || (digits > 1 && *whole == '0'))
		return false;
	text = whole + digits;
	if (text < end && *text == '.') {
		digits = count_digits(++text, end);
		if (digits == 0)
			return false;
		text += digits;
	}
	if (text < end && (*text == 'e' || *text == 'E')) {
		text++;
		text += text < end && (*text == '+' || *text == '-');
		digits = count_digits(text, end);
		if (digits == 0)
			return false;
		text += digits;
	}
	return text == end;
}

/* Does nothing hold it? Of so many digits nobody means each. */
static bool is_beyond(const char *text, size_t size)
{
	char copy[NUMBER_SIZE_MAX + 1];

	if (size < strlen(NO_INTEGER) || !is_number(text, text + size))
		return false;
	if (size > NUMBER_SIZE_MAX)
		return true;
	memcpy(copy, text, size);
	copy[size] = '\0';
	errno = 0;
	if (!strpbrk(copy, ".eE")) {
		(void)strtoll(copy, NULL, 10);
		return errno == ERANGE;
	}
	return isinf(strtod(copy, NULL));
}

/* From its first character; returns what is behind it. */
static char *replace_number(char *text, const char *end)
{
	char *at = text;

	while (at < end && *at != '\0' && is_of_number(*at))
		at++;
	if (is_beyond(text, (size_t)(at - text))) {
		memset(text, ' ', (size_t)(at - text));
		memcpy(text, NO_INTEGER, strlen(NO_INTEGER));
	}
	return at;
}

void beyond_replace(char *text, size_t size, bool no_nul)
{
	const char *end = text + size;

	while (text < end) {
		if (*text == '"')
			text = replace_in_string(text + 1, end, no_nul);
		else if (*text == '-' || isdigit((unsigned char)*text))
			text = replace_number(text, end);
		else
			text++;
	}
}
