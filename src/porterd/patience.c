/* SPDX-License-Identifier: MIT
 *
 * Clients that keep porterd waiting.
 */
#include "porterd/patience.h"

#include "base/clock.h"
#include "kernel/sockopt.h"
#include "porterd/connection.h"
#include "porterd/server.h"

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

void patience_begin(struct connection *connection, enum patience_kind kind)
{
	struct patience_list *list = &connection->server->patience.lists[kind];
	struct patience_entry *entry = &connection->patience;

	if (entry->waiting && entry->kind == kind)
		return;
	patience_end(connection);

	/* Everybody of a list is given the same time, so who comes later ends later. */
	*entry = (struct patience_entry){
		.previous = list->last,
		.since_usec = clock_now_usec(),
		.unread = -1,
		.kind = (uint8_t)kind,
		.waiting = true,
	};
	if (list->last)
		list->last->patience.next = connection;
	else
		list->first = connection;
	list->last = connection;
}

void patience_end(struct connection *connection)
{
	struct patience_entry *entry = &connection->patience;
	struct patience_list *list = &connection->server->patience.lists[entry->kind];

	if (!entry->waiting)
		return;
	if (entry->previous)
		entry->previous->patience.next = entry->next;
	else
		list->first = entry->next;
	if (entry->next)
		entry->next->patience.previous = entry->previous;
	else
		list->last = entry->previous;
	entry->waiting = false;
}

/* The kernel tells of room only when a good part of it is free. So somebody who reads slowly is seen by looking
 * twice: then it holds less than before. */
static bool has_read(struct connection *connection)
{
	struct patience_entry *entry = &connection->patience;
	int before = entry->unread;

	entry->unread = sockopt_unread(connection->source.fd);
	return before < 0 || entry->unread != before;
}

/* It gets the same time once more. */
static void wait_again(struct connection *connection)
{
	enum patience_kind kind = connection->patience.kind;
	int unread = connection->patience.unread;

	patience_end(connection);
	patience_begin(connection, kind);
	connection->patience.unread = unread;
}

bool patience_tick(struct server *server)
{
	uint64_t now = clock_now_usec();
	bool waiting = false;

	for (enum patience_kind kind = 0; kind < PATIENCE_KINDS; kind++) {
		const struct patience_list *list = &server->patience.lists[kind];
		uint64_t usec = server->patience.usec[kind];

		while (list->first && list->first->patience.since_usec + usec <= now) {
			struct connection *connection = list->first;

			if (kind == PATIENCE_READER && has_read(connection)) {
				wait_again(connection);
				continue;
			}
			server->counts.late++;
			connection_close(connection);
		}
		waiting |= list->first != NULL;
	}
	return waiting;
}
