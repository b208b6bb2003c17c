/* SPDX-License-Identifier: MIT
 *
 * Records for the journal: journald's native protocol, sent without ever blocking. sd_journal_send() blocks
 * when journald does, and with it everybody who waits for an answer; here a record that finds no room is
 * dropped and counted, and the count is told when the journal is back.
 *
 * Where stderr is not the journal's (a terminal, a pipe), the same records go to stderr as readable lines.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#include "base/macro.h"

#define RECORD_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* A value longer than this is cut: no peer can make records larger than that. */
#define RECORD_VALUE_MAX 4096

struct recorder;

struct recorder_counts {
	uint64_t sequence; /* of the last record */
	uint64_t dropped;  /* records lost since the start */
};

/* A recorder for the program `identifier` (a string constant). Chooses by $JOURNAL_STREAM whether stderr is
 * the journal's. -ENOMEM, or why no socket could be made. */
int recorder_new(struct recorder **ret, const char *identifier);

/* For tests: sends to another socket, or writes to another stderr. */
int recorder_new_journal(struct recorder **ret, const char *identifier, const char *socket_path);
int recorder_new_stderr(struct recorder **ret, const char *identifier, int fd);

struct recorder *recorder_free(struct recorder *recorder);
DEFINE_CLEANUP(struct recorder *, cleanup_recorder, recorder_free)

/* One record at a time: begin, add fields, submit. `priority` as in syslog(3), `message_id` one of
 * record/message_id.h or NULL. A value may hold any bytes. Failure to build a record drops it, counted. */
void record_begin(struct recorder *recorder, int priority, const char *message_id);
void record_field(struct recorder *recorder, const char *name, const char *value); /* NULL: no field */
void record_bytes(struct recorder *recorder, const char *name, const void *value, size_t size);
void record_number(struct recorder *recorder, const char *name, int64_t value);
/* One value of some texts; NULL among them is none. */
void record_joined(struct recorder *recorder, const char *name, const char *const *parts, size_t n_parts);
void record_format(struct recorder *recorder, const char *name, const char *format, ...) _printf_(3, 4);

/* Numbers the record (PORTERD_SEQUENCE=) and sends it. True if it was delivered. */
bool record_submit(struct recorder *recorder);

/* The same for a record of what happens only if it is delivered: one that is not takes no number, and is not counted
 * as dropped. */
bool record_try(struct recorder *recorder);

/* Between these, records that are submitted are kept, and go out together: at the end, or when many are kept. So what
 * record_submit() returns then says nothing. */
void record_hold(struct recorder *recorder);
void record_release(struct recorder *recorder);

/* A record with nothing but a message. `message_id` may be NULL. */
void record_event(struct recorder *recorder, int priority, const char *message_id, const char *format, ...)
	_printf_(4, 5);
#define record_message(recorder, priority, ...) record_event((recorder), (priority), NULL, __VA_ARGS__)

/* Tells the journal about records dropped before, if it can be told by now. True if nothing is left to tell. */
bool recorder_flush(struct recorder *recorder);

struct recorder_counts recorder_counts(const struct recorder *recorder);
