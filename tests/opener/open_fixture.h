/* SPDX-License-Identifier: MIT
 *
 * Grants, and what opening by them gives, in the test's directory.
 */
#pragma once

#include "opener/opening/open.h"
#include "tests/opener/fixture.h"

/* A client that is neither root nor whoever runs the test. */
#define STRANGER 12345

/* What was opened last; closed after the test. */
extern struct opened opened;

/* Those of the last request. */
extern struct places places;

void open_setup(void);
void open_teardown(void);

/* A grant of a file below the test's directory, or of an absolute path. */
struct grant grant_for(const char *name, enum grant_access access);

/* Opens the file for a client, after a dry run that must say the same. */
enum opener_result open_for(const struct grant *grant, uid_t uid);

/* The same in one for a stranger, who is expected to be refused. */
enum opener_result refused(const char *name, enum grant_access access, enum grant_type type);

/* Checks the flags of what was opened as a receiver sees them. */
void ck_flags(int access, int append);

/* Gives a file, or by the name of another attribute a directory's new files, the list user::rw-,
 * user:STRANGER:PERMISSIONS, group::r--, mask::PERMISSIONS, other::---. Negative with errno set: it can't have one. */
int set_acl(const char *path, uint16_t permissions);
int set_acl_of(const char *path, const char *name, uint16_t permissions);
