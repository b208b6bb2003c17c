/* SPDX-License-Identifier: MIT
 *
 * A request of porterd's, as tests make it, with a real connection of a client and the record that it leaves.
 */
#pragma once

#include "opener/serving/request.h"
#include "record/message_id.h"
#include "tests/opener/fixture.h"

struct packet {
	struct opener_request header;
	char labels[OPENER_FILES_MAX + 2][OPENER_LABEL_SIZE];
};

/* What is served, the request, and what it was answered. */
extern struct request_service service;
extern struct packet packet;
extern struct response response;

/* The journal's socket; where clients connect; one that has, and the accepted end of it. */
extern int journal, listener, client, accepted;

/* Around every test: all of the above, and an empty policy. */
void request_setup(void);
void request_teardown(void);

/* Serves by this text of files.conf. */
void load_text(const char *text);

/* A section for this test's own user, who owns the file (below the test's directory, or absolute); one of a few
 * static buffers. */
const char *grant(const char *name, const char *file);

/* A policy of "one" and "two", which are there, "gone", which is not, and "theirs", which is somebody else's. */
void load_three(void);

/* Begins a packet; adds a label to it; its size. */
void start(enum opener_operation operation);
void add(const char *label);
size_t packet_size(void);

/* Has the packet served: as porterd would send it, or as `size` bytes with a duplicate of `fd` (negative: none). */
enum opener_result serve(void);
enum opener_result serve_with(ssize_t size, int fd);

/* The same in two steps, as far as the answer, and what comes after it. */
enum opener_result serve_answer(void);
void serve_rest(void);

/* The second step where the answer was sent: what it carried is closed as well. */
void serve_sent(void);

/* Between the two: the answer could not be sent. */
void withdraw(const char *reason);

/* What the opener does when nobody asks for a while: no client is kept. */
void forget_clients(void);

/* The answer's text. */
const char *text(void);

/* The next record, "" if there is none. Binary fields keep their form. */
const char *record(void);

/* Is the line, or NAME=value, in the record? */
void ck_field(const char *of, const char *field);
void ck_number(const char *of, const char *name, long long value);
