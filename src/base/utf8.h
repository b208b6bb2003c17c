/* SPDX-License-Identifier: MIT
 *
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character that a string (not an empty one) begins with. Returns its bytes, 0 where there is no UTF-8. */
size_t utf8_decode(const char *text, uint32_t *ret);

bool utf8_is_valid(const char *text);
