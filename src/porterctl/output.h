/* SPDX-License-Identifier: MIT
 *
 * What porterctl prints: text from elsewhere that may reach a terminal, tables, JSON. All of these end the program
 * where memory is out.
 */
#pragma once

#include "base/json.h"

/* Says so on stderr and ends the program. */
void output_out_of_memory(void) __attribute__((noreturn));

/* A copy in which nothing can steer a terminal: control characters, marks that reorder text, and bytes that
 * are no UTF-8 become \xNN or \uNNNN. The caller frees it. */
char *output_escape(const char *text);

/* Prints rows of `n_columns` cells each, escaped and aligned, to stdout. A NULL cell is printed as `-`. */
void output_table(const char *const *cells, size_t n_rows, size_t n_columns);

/* Prints JSON to stdout: indented and in ASCII to a terminal, otherwise as one line. */
void output_json(const json_t *value);
