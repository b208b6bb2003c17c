/* SPDX-License-Identifier: MIT
 *
 * Which file goes to which fd number, what COMMAND is told of it, and the moving of fds to their places.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Where the files without a number of their own begin, as sd_listen_fds(3) has it. */
#define EXEC_FDS_START 3

struct exec_file {
	char *name;    /* owned */
	int target;    /* the fd number that COMMAND finds it at */
	bool explicit; /* =FD was given: not counted in LISTEN_FDS */
	bool optional; /* `?` was given: left out if it is missing */
};

struct exec_plan {
	struct exec_file *files;
	size_t n_files;
	size_t n_listed; /* those at EXEC_FDS_START and up, without a gap */
};

/* Reads FILE[?][=FD] words. Returns EXIT_DONE, or EXIT_WRONG_USAGE and has said why. */
int exec_plan_parse(struct exec_plan *plan, char *const *words, size_t n_words);

/* Looks whether COMMAND, which ends with NULL, needs the path of a file that may be left out: there would be nothing
 * to put in its place. Returns as exec_plan_parse(). */
int exec_plan_check_command(const struct exec_plan *plan, char *const *command);

/* Takes an optional file out of the plan; those behind it without a number of their own move up. False: there is no
 * optional file of that name (NULL: none). */
bool exec_plan_leave_out(struct exec_plan *plan, const char *name);

void exec_plan_clear(struct exec_plan *plan);

/* A copy of the argument with every {FILE} replaced by /proc/self/fd/N. The caller frees it; NULL: no memory. */
char *exec_plan_expand(const struct exec_plan *plan, const char *argument);

/* The value of LISTEN_FDNAMES. The caller frees it; NULL: no memory. */
char *exec_plan_names(const struct exec_plan *plan);

/* Moves the received fds, in the order of the files, to their targets, where they survive exec. Whatever was
 * at a target is closed, except for *kept (negative: none), which makes room for it and changes its number.
 * Consumes the fds in any case. Returns 0 or -errno. */
int exec_plan_place(const struct exec_plan *plan, int *fds, int *kept);
