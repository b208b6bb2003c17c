/* SPDX-License-Identifier: MIT
 *
 * Text from elsewhere on its way to a terminal.
 */
#pragma once

#include <stddef.h>

/* A copy in which nothing can steer a terminal: control characters, marks that reorder text, and bytes that
 * are no UTF-8 become \xNN or \uNNNN. The caller frees it. Ends the program where memory is out. */
char *text_escape(const char *text);

/* How many columns an escaped text takes, about: one for each character. */
size_t text_width(const char *escaped);

/* Prints rows of `n_columns` cells each, escaped and aligned, to stdout. A NULL cell is printed as `-`. */
void text_print_table(const char *const *cells, size_t n_rows, size_t n_columns);
