/* SPDX-License-Identifier: MIT
 *
 * What the unit tests share: a TAP runner that knows skipped tests, and a few helpers.
 */
#pragma once

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

/* One test of a program's table, which ends with an empty one. */
struct unit_test {
	const TTest *test;
	int count; /* how often, with _i from 0 on; negative: once */
};
#define UNIT_TEST(test) { test, -1 }
#define UNIT_LOOP(test, count) { test, (int)(count) }

/* What is around each test. All zero is nothing. */
struct unit_around {
	void (*setup)(void), (*teardown)(void);
	int seconds; /* how long a test may take, 0: as long as Check allows */
};

/* Runs the tests (`around` may be NULL), prints TAP, and returns the exit status for main(). */
int unit_run(const char *name, const struct unit_test *tests, const struct unit_around *around);

/* Ends the program, with all its tests skipped. */
void unit_skip_all(const char *reason);

/* Leaves a test that this system can't run; it is then reported as skipped, never as passed. A function that a test
 * calls can't do that for it: only tests have Check's _i. */
#define unit_skip(reason)                         \
	do {                                      \
		(void)_i;                         \
		unit_note_skip(__func__, reason); \
		return;                           \
	} while (0)
void unit_note_skip(const char *function, const char *reason);

/* How many fds this process has open. */
size_t unit_count_fds(void);

/* valgrind keeps RLIMIT_NOFILE from the kernel, and makes everything slow. */
bool unit_under_valgrind(void);

/* Runs `function` in a child process and returns what it returned, 0 to 127, or 128 and the signal that it died of.
 * A failed ck_assert would leave the child by the wrong door, so it reports by unit_expect(). */
int unit_in_child(int (*function)(void *argument), void *argument);

#define unit_expect(condition)                                                                   \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			(void)fprintf(stderr, "%s:%d: not so in the child: %s\n", __FILE__, __LINE__, #condition); \
			return 1;                                                                \
		}                                                                                \
	} while (0)

/* A new directory under /tmp; `path` has room for UNIT_PATH_SIZE bytes. Remove it with rmdir(). */
#define UNIT_PATH_SIZE 64
void unit_make_directory(char *path);

/* An abstract address that only this process uses, as sockaddr_un; returns its size. */
struct sockaddr_un;
unsigned unit_make_address(struct sockaddr_un *address, const char *name);
