/* SPDX-License-Identifier: MIT
 *
 * What became of opening a file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/macro.h"
#include "base/opener_wire.h"

#define OPENED_REASON_SIZE 256

struct opened {
	int fd;			  /* owned; negative: not opened */
	enum opener_result result;
	char reason[OPENED_REASON_SIZE]; /* of a refusal */
	bool found;		  /* device and inode are known */
	dev_t device;
	ino_t inode;
	size_t copied; /* bytes that were filled, of a copy */
};

/* Not opened, and nothing known. */
void opened_init(struct opened *opened);

/* Closes the fd. */
void opened_clear(struct opened *opened);

/* Notes the result and why, as in printf(3); returns the result. */
enum opener_result opened_refuse(struct opened *opened, enum opener_result result, const char *format, ...)
	_printf_(3, 4);

/* The same for a system call that failed with -errno. */
enum opener_result opened_fail(struct opened *opened, const char *what, int error);
