/* SPDX-License-Identifier: MIT
 *
 * Clients that keep porterd waiting.
 */
#include "limits/patience.h"

#include "base/clock.h"
#include "kernel/sockopt.h"

uint64_t patience_usec(const struct patience_settings *settings, enum patience_kind kind)
{
	static const uint64_t defaults[PATIENCE_KINDS] = {
		[PATIENCE_MESSAGE] = PATIENCE_MESSAGE_SECONDS * USEC_PER_SEC,
		[PATIENCE_READER] = PATIENCE_READER_SECONDS * USEC_PER_SEC,
	};

	return settings->usec[kind] ? settings->usec[kind] : defaults[kind];
}

void patience_set(struct patience *patience, const struct patience_settings *settings)
{
	for (enum patience_kind kind = 0; kind < PATIENCE_KINDS; kind++)
		patience->usec[kind] = patience_usec(settings, kind);
}

void patience_begin(struct patience *patience, struct patience_entry *entry, enum patience_kind kind, int fd)
{
	if (entry->waiting && entry->kind == kind)
		return;
	patience_end(patience, entry);

	/* Everybody of a list is given the same time, so who comes later ends later. */
	*entry = (struct patience_entry){
		.since_usec = clock_now_usec(),
		.fd = fd,
		.unread = -1,
		.kind = (uint8_t)kind,
		.waiting = true,
	};
	list_append(&patience->lists[kind], &entry->link);
}

void patience_end(struct patience *patience, struct patience_entry *entry)
{
	if (!entry->waiting)
		return;
	list_remove(&patience->lists[entry->kind], &entry->link);
	entry->waiting = false;
}

/* The kernel tells of room only when a good part of it is free. So somebody who reads slowly is seen by looking
 * twice: then it holds less than before. */
static bool has_read(struct patience_entry *entry)
{
	int before = entry->unread;

	entry->unread = sockopt_unread(entry->fd);
	return before < 0 || entry->unread != before;
}

/* It gets the same time once more. */
static void wait_again(struct patience *patience, struct patience_entry *entry)
{
	int unread = entry->unread;

	patience_end(patience, entry);
	patience_begin(patience, entry, entry->kind, entry->fd);
	entry->unread = unread;
}

static struct patience_entry *first_of(const struct list *list)
{
	return LIST_ENTRY(list->first, struct patience_entry, link);
}

bool patience_tick(struct patience *patience)
{
	uint64_t now = clock_now_usec();
	bool waiting = false;

	for (enum patience_kind kind = 0; kind < PATIENCE_KINDS; kind++) {
		const struct list *list = &patience->lists[kind];
		struct patience_entry *entry;

		while ((entry = first_of(list)) && entry->since_usec + patience->usec[kind] <= now) {
			if (kind == PATIENCE_READER && has_read(entry))
				wait_again(patience, entry);
			else
				patience->late(entry);
		}
		waiting |= list->first != NULL;
	}
	return waiting;
}
