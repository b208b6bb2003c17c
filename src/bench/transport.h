/* SPDX-License-Identifier: MIT
 *
 * Ways for bytes from one process to another, and how they compare on this machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/measure.h"
#include "bench/place.h"

/* Both ends. They are made before the fork; then each process uses one of them. */
struct transport_pair {
	int fds[2];	 /* the parent's and the child's end of a socket; or a channel to the child */
	int back[2];	 /* a channel to the parent, if each way has its own */
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
	int error; /* negative (-errno): why there is no result */
	unsigned rounds;
	uint64_t p50, p99, p999; /* of a round trip of 64 bytes, in nanoseconds */
	double bytes;		 /* a second, by 64 KiB messages one way */
};

/* Measures all of them, which take turns. */
int transports_run(struct transport_result *results, size_t count, const struct places *places,
		   const char *directory, double seconds, void (*progress)(const char *, unsigned, unsigned));
