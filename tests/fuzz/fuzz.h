/* SPDX-License-Identifier: MIT
 *
 * What the fuzzers share. Each is one file with LLVMFuzzerTestOneInput(); it is linked with libFuzzer, or with
 * replay.c, which runs it on files.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input; otherwise it is a finding. */
#define fuzz_expect(condition)                                      \
	do {                                                        \
		if (!(condition))                                   \
			fuzz_fail(__FILE__, __LINE__, #condition); \
	} while (0)

_Noreturn void fuzz_fail(const char *file, int line, const char *condition);

/* Cuts an input: the whole at once, or in pieces of a few bytes (at most about `most` pieces), whose sizes are the
 * same each time. */
struct fuzz_pieces {
	const uint8_t *data;
	size_t left;
	size_t least, spread; /* a piece has least to least + spread bytes; least 0: all */
	uint32_t state;
};

void fuzz_pieces_init(struct fuzz_pieces *pieces, const uint8_t *data, size_t size, size_t most /* 0: whole */);

/* The next piece's size, 0 at the end; *ret is where it is. */
size_t fuzz_pieces_next(struct fuzz_pieces *pieces, const uint8_t **ret);

/* A directory of this process, made at the first call and removed at its end with the files in it. */
const char *fuzz_directory(void);

/* An fd for anything: it reads as nothing. */
int fuzz_any_fd(void);

/* For the end of each input: it left no fd open, and closed none that was not its own. The first call only looks. */
void fuzz_check_fds(void);

/* A connected pair of non-blocking sockets, with room for every input. */
void fuzz_socketpair(int type, int pair[2]);
