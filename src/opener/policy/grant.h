/* SPDX-License-Identifier: MIT
 *
 * A grant: what one section of files.conf means, with every name already resolved. porterd-files.conf(5) describes the
 * keys.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/opener_wire.h"

enum grant_access {
	GRANT_READ,
	GRANT_WRITE,
	GRANT_READ_WRITE,
	GRANT_APPEND,
	N_GRANT_ACCESSES,
};

enum grant_type {
	GRANT_REGULAR,
	GRANT_DEVICE,
	GRANT_SOCKET,
};

/* A list that is empty was not given and asks nothing; a grant without any list is broken. */
struct grant {
	char name[OPENER_LABEL_SIZE];
	bool broken; /* never granted; nothing below is valid then */

	char *description; /* NULL: none */
	char *path;
	char *within; /* NULL: no links are followed */
	enum grant_access access;
	enum grant_type type;
	bool copy;
	bool create;
	mode_t mode;
	bool audit_required; /* nothing is granted but what the journal has a record of */

	uid_t *users;
	gid_t *groups;
	char **units;
	size_t n_users, n_groups, n_units;
};

/* The words of Access=. */
extern const char *const grant_access_words[N_GRANT_ACCESSES];

/* Frees what it holds. */
void grant_clear(struct grant *grant);
