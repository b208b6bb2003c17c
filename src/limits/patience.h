/* SPDX-License-Identifier: MIT
 *
 * Clients that keep porterd waiting while it holds something for them: half a message, or an answer that is not
 * taken. Those who wait for nothing but their own next idea may stay as long as they like.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum patience_kind {
	PATIENCE_MESSAGE, /* for the rest of a message, from its first byte on */
	PATIENCE_READER,  /* for somebody who reads nothing */
	PATIENCE_KINDS,
};

/* Unless told otherwise. */
#define PATIENCE_MESSAGE_SECONDS 30
#define PATIENCE_READER_SECONDS 60

/* 0: the default. */
struct patience_settings {
	uint64_t usec[PATIENCE_KINDS];
};

struct patience_entry;

/* For each kind, those who are waited for, the longest first. */
struct patience {
	uint64_t usec[PATIENCE_KINDS];
	struct list lists[PATIENCE_KINDS];
	/* It has kept porterd waiting for too long, and leaves the list by its end. */
	void (*late)(struct patience_entry *entry);
};

/* A connection's place in a list. All zero: nobody waits for it. */
struct patience_entry {
	struct list_link link;
	uint64_t since_usec;
	int fd; /* the connection's */
	/* A reader: how much it had not read when it was last looked at; negative: it was not, or has read since.
	 * To be set so at each event of the connection. */
	int unread;
	uint8_t kind;
	bool waiting;
};

/* How long that is with these. */
uint64_t patience_usec(const struct patience_settings *settings, enum patience_kind kind);

/* Sets how long everybody is waited for, also who is already. All zero nobody is. */
void patience_set(struct patience *patience, const struct patience_settings *settings);

/* The connection is waited for from now on, if it is not already; not any more. */
void patience_begin(struct patience *patience, struct patience_entry *entry, enum patience_kind kind, int fd);
void patience_end(struct patience *patience, struct patience_entry *entry);

/* To be called about once a second: finds those that are late. True while there are any that are waited for. */
bool patience_tick(struct patience *patience);
