/* SPDX-License-Identifier: MIT
 *
 * How a worker ended, and the record of it.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recorder;

struct worker_end {
	size_t worker;
	const siginfo_t *info; /* what waitid(2) says of it */
	uint64_t silence_usec; /* it was killed for a silence of so long; 0: it was not */
	uint64_t connections;  /* that ended with it */
	unsigned failures;     /* of this worker in a row, with this one */
};

/* Anything but an end in good order, as after SIGTERM. */
bool worker_end_is_failure(const struct worker_end *end);

/* `then` says what follows: "another takes its place". */
void worker_end_record(const struct worker_end *end, struct recorder *recorder, const char *then);
