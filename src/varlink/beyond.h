/* SPDX-License-Identifier: MIT
 *
 * JSON that is valid, and beyond what the library reads: numbers that no 64 bits or double hold, U+0000 in a string, and
 * halves of surrogate pairs. A copy is made in which each is replaced by something as long that it does read, and that no
 * parameter takes for a value.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Changes the text, which may be any: such a number becomes one that is no integer, such a character U+0000. With
 * `no_nul`, U+0000 becomes U+FFFD, in values, too: the library takes none in a key. A message with such a key has a name
 * with U+FFFD where it had one with U+0000, which names nothing either. */
void beyond_replace(char *text, size_t size, bool no_nul);
