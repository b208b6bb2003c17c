/* SPDX-License-Identifier: MIT
 *
 * An opener that is the test, and questions to it of a porterd that runs when the test lets it.
 */
#pragma once

#include <time.h>

#include "tests/porterd/alone.h"
#include "services/opener_client.h"
#include "tests/opener/fixture.h"

/* The monotonic clock is so many seconds ahead. */
extern time_t later;

/* porterd, its side of the opener, the opener's socket at fixture_path("opener"), the opener's end of the connection
 * (take() accepts it; negative: none), and the connection of the client who asks. */
extern struct alone daemon_around;
extern struct opener_client *opener;
extern int opener_listener, connection, asker[2];

void opener_setup(void);
void opener_teardown(void);

/* A question, and what became of it. All zero at first. It must not go away while it is under way. */
struct asked {
	struct opener_call call;
	unsigned answers;
	bool lost;
	uint32_t result;
	size_t n_fds;
	char text[64];
	bool from_b;	    /* the names begin with b */
	struct asked *next; /* to be asked as soon as this one is answered */
};

/* Notes the answer. */
void asked_done(struct opener_call *call, const struct opener_reply *reply, const char *text, struct fdset *fds);

/* Asks for the first `count` of a, b, a, b, … */
int ask(struct asked *asked, size_t count);

/* Asks questions of the largest size, of which the connection has room for a few; returns for how many. */
#define MANY 40
size_t ask_many(struct asked asked[MANY]);

/* The next request that has come, which must be of `count` labels; returns its serial, 0 for none. */
uint64_t take(size_t count);
uint64_t take_from_b(size_t count);

/* Answers, with duplicates of an fd; or with any header and text. */
void answer(uint64_t serial, uint32_t result, const char *text, size_t n_fds);
void send_reply(const struct opener_reply *reply, const char *text, size_t size, size_t n_fds);
