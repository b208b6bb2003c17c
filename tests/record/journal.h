/* SPDX-License-Identifier: MIT
 *
 * A journald that reads when the test wants it to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/base/unit.h"

#define FIELDS_MAX 4096

struct journal {
	char directory[UNIT_PATH_SIZE], path[UNIT_PATH_SIZE + 16];
	int fd;
};

struct entry {
	char *data;
	size_t size, n_fields;
	bool by_memfd;
	int seals;
	struct {
		char name[64];
		const char *value;
		size_t size;
	} fields[FIELDS_MAX];
};

/* A place for it; it does not listen yet. */
void journal_new(struct journal *journal);
void journal_remove(struct journal *journal);

void journal_start(struct journal *journal);
void journal_stop(struct journal *journal);

/* The next record; false if there is none. Free it with entry_free(). */
bool journal_read(const struct journal *journal, struct entry **ret);
void entry_free(struct entry *entry);

/* The one field of that name has this value. */
void entry_assert_field(const struct entry *entry, const char *name, const void *value, size_t size);
void entry_assert_text(const struct entry *entry, const char *name, const char *value);

/* The value of the field of that name, which must be there. */
uint64_t entry_number(const struct entry *entry, const char *name);
