/* SPDX-License-Identifier: MIT
 *
 * What the opener's tests share: a directory of their own, connections, and clients.
 */
#pragma once

#include <sys/types.h>

#include "kernel/identity.h"
#include "tests/base/unit.h"

/* The test's directory, its real path: only its owner can write it, and it is gone after the test. */
extern char fixture_directory[];

void fixture_setup(void);
void fixture_teardown(void);

/* A path below the directory; one of a few static buffers. */
const char *fixture_path(const char *name);

/* Makes a file below the directory, with its directories. */
void fixture_write(const char *name, const char *content, mode_t mode);

/* A client as the kernel could have described it: alive, with a pidfd, in no unit. Nothing is owned. */
struct identity fixture_client(uid_t uid, gid_t gid);

/* A listening, bound AF_UNIX socket, and a connection to it of this process. */
int fixture_listen(const char *name, int type);
int fixture_connect(const char *name, int type);

/* Ends the program, with all its tests skipped, where there is no openat2(2). Every kernel that porterd
 * runs on has it, but valgrind before 3.22 (Debian 12) does not let it through. */
void fixture_need_openat2(void);
