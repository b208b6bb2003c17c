/* SPDX-License-Identifier: MIT
 *
 * Where records go: the journal's socket, or readable lines on a terminal or pipe. Never blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct record_sink;

/* Was stderr connected to the journal by whoever started this program? By $JOURNAL_STREAM, as systemd.exec(5)
 * describes: device and inode of the stream must be those of stderr, because children inherit the variable. */
bool record_sink_stderr_is_journal(void);

/* Sends to journald's datagram socket; it need not be there (yet). */
int record_sink_new_journal(struct record_sink **ret, const char *socket_path);

/* Writes lines to `fd`, which stays the caller's. */
int record_sink_new_lines(struct record_sink **ret, int fd);

void record_sink_free(struct record_sink *sink);

/* Sends one record in journald's native format. -EAGAIN: no room now; other errors as the kernel says. */
int record_sink_send(struct record_sink *sink, const char *record, size_t size);

/* The same with several, each by itself, in their order. Returns how many were sent. */
size_t record_sink_send_many(struct record_sink *sink, const struct iovec *records, size_t count);
