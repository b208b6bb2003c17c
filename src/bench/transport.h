/* SPDX-License-Identifier: MIT
 *
 * Ways of bytes from one process to another: how they compare on this machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/measure.h"
#include "bench/place.h"

/* Both ends, made before the fork; an end is one of the two for as long as it lives. */
struct transport_pair {
	int fds[2];	 /* [0] for reading and writing of the parent's end, or [0], [1] as the kind wants */
	int back[2];	 /* where there is one channel each way */
	void *shared;	 /* a ring each way */
};

struct transport {
	const char *name;  /* for --case= and JSON */
	const char *title; /* for people */
	int (*open)(struct transport_pair *pair, const char *directory);
	/* Sends or receives one whole message. 0 or -errno. */
	int (*send)(struct transport_pair *pair, bool child, const void *data, size_t size);
	int (*receive)(struct transport_pair *pair, bool child, void *data, size_t size);
	void (*close)(struct transport_pair *pair);
};

extern const struct transport transports[];
extern const size_t n_transports;

struct transport_result {
	const struct transport *transport;
	int error; /* negative: why not */
	unsigned rounds;
	uint64_t p50, p99, p999; /* of a round trip of 64 bytes, in nanoseconds */
	double bytes;		 /* a second, by 64 KiB messages one way */
};

/* Measures all that were chosen, by turns. */
int transports_run(struct transport_result *results, size_t count, const struct places *places,
		   const char *directory, double seconds, void (*progress)(const char *, unsigned, unsigned));
