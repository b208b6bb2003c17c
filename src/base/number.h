/* SPDX-License-Identifier: MIT
 *
 * Numbers as people write them: decimal digits and nothing else, without a sign, without blanks and without zeros
 * in front, because "010" is ten to some programs and eight to others.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number that the first `size` characters are. -EINVAL: none, or larger than `max`. */
int number_parse(const char *text, size_t size, uint64_t max, uint64_t *ret);

/* A uid or gid. -EINVAL: no number, or (uint32_t)-1, which means "none" to the kernel. */
int number_parse_id(const char *text, size_t size, uint32_t *ret);

/* Writes the number, with a NUL. Returns where that is. */
#define NUMBER_TEXT_SIZE sizeof("18446744073709551615")
char *number_write(uint64_t number, char text[static NUMBER_TEXT_SIZE]);

/* A whole string of seconds, as microseconds. -EINVAL: no number, or longer than a year, which nobody means. */
int number_parse_seconds(const char *text, uint64_t *ret_usec);
