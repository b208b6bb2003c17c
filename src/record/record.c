/* SPDX-License-Identifier: MIT
 *
 * Records for the journal, built in journald's native format and handed to a sink (record/sink.h).
 */
#include "record/record.h"

#include <endian.h>
#include <stdarg.h>

#include "base/number.h"
#include "record/message_id.h"
#include "record/sink.h"

/* So many records, or bytes of them, are held at most. */
#define HELD_MAX 64
#define HELD_SIZE 65536

struct recorder {
	const char *identifier;
	struct record_sink *sink;

	/* The record under construction. The buffer is kept, so that steady work allocates nothing. */
	char *buffer;
	size_t size, capacity;
	bool broken; /* out of memory while building: it will be dropped */

	/* Those that are held stand before it in the buffer, one after the other. */
	bool holding;
	size_t begin; /* of the one under construction */
	size_t n_held;
	size_t ends[HELD_MAX];

	uint64_t sequence;
	uint64_t dropped;
	uint64_t untold; /* of the dropped ones: not yet told to the journal */
};

static int recorder_new_for(struct recorder **ret, const char *identifier, struct record_sink *sink)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder) {
		record_sink_free(sink);
		return -ENOMEM;
	}

	recorder->identifier = identifier;
	recorder->sink = sink;
	*ret = recorder;
	return 0;
}

int recorder_new(struct recorder **ret, const char *identifier)
{
	if (record_sink_stderr_is_journal())
		return recorder_new_journal(ret, identifier, RECORD_JOURNAL_SOCKET);
	return recorder_new_stderr(ret, identifier, STDERR_FILENO);
}

int recorder_new_journal(struct recorder **ret, const char *identifier, const char *socket_path)
{
	struct record_sink *sink;
	int r = record_sink_new_journal(&sink, socket_path);

	return r < 0 ? r : recorder_new_for(ret, identifier, sink);
}

int recorder_new_stderr(struct recorder **ret, const char *identifier, int fd)
{
	struct record_sink *sink;
	int r = record_sink_new_lines(&sink, fd);

	return r < 0 ? r : recorder_new_for(ret, identifier, sink);
}

struct recorder *recorder_free(struct recorder *recorder)
{
	if (recorder) {
		record_sink_free(recorder->sink);
		free(recorder->buffer);
		free(recorder);
	}
	return NULL;
}

/* Room for so many bytes more; NULL, and a broken record, if there is none. */
static char *reserve(struct recorder *recorder, size_t size)
{
	if (size > recorder->capacity - recorder->size && !recorder->broken) {
		size_t capacity = 2 * (recorder->size + size);
		char *buffer = realloc(recorder->buffer, capacity);

		if (buffer) {
			recorder->buffer = buffer;
			recorder->capacity = capacity;
		} else {
			recorder->broken = true;
		}
	}
	return recorder->broken ? NULL : recorder->buffer + recorder->size;
}

void record_bytes(struct recorder *recorder, const char *name, const void *value, size_t size)
{
	size_t name_size = strlen(name);
	char *at;

	size = MIN_OF(size, (size_t)RECORD_VALUE_MAX);
	at = reserve(recorder, name_size + 1 + sizeof(uint64_t) + size + 1);
	if (!at)
		return;
	at = mempcpy(at, name, name_size);

	if (memchr(value, '\n', size)) {
		/* A value with line breaks goes with its length in front, 64 bits little endian. */
		uint64_t length = htole64(size);

		*at++ = '\n';
		at = mempcpy(at, &length, sizeof(length));
	} else {
		*at++ = '=';
	}

	at = mempcpy(at, value, size);
	*at++ = '\n';
	recorder->size = (size_t)(at - recorder->buffer);
}

void record_joined(struct recorder *recorder, const char *name, const char *const *parts, size_t n_parts)
{
	char text[RECORD_VALUE_MAX], *at = text;

	for (size_t i = 0; i < n_parts; i++)
		if (parts[i])
			at = mempcpy(at, parts[i], strnlen(parts[i], (size_t)(text + sizeof(text) - at)));
	record_bytes(recorder, name, text, (size_t)(at - text));
}

void record_field(struct recorder *recorder, const char *name, const char *value)
{
	if (value)
		record_bytes(recorder, name, value, strlen(value));
}

void record_number(struct recorder *recorder, const char *name, int64_t value)
{
	char text[1 + NUMBER_TEXT_SIZE] = "-", *begin = value < 0 ? text : text + 1;
	char *end = number_write(value < 0 ? -(uint64_t)value : (uint64_t)value, text + 1);

	record_bytes(recorder, name, begin, (size_t)(end - begin));
}

static _printf_(3, 0) void record_format_v(struct recorder *recorder, const char *name, const char *format,
					   va_list arguments)
{
	char text[RECORD_VALUE_MAX + 1];
	int length = vsnprintf(text, sizeof(text), format, arguments);

	if (length < 0)
		recorder->broken = true;
	else
		record_bytes(recorder, name, text, MIN_OF((size_t)length, sizeof(text) - 1));
}

void record_format(struct recorder *recorder, const char *name, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	record_format_v(recorder, name, format, arguments);
	va_end(arguments);
}

void record_begin(struct recorder *recorder, int priority, const char *message_id)
{
	recorder->size = recorder->begin;
	recorder->broken = false;
	record_number(recorder, "PRIORITY", priority);
	record_field(recorder, "SYSLOG_IDENTIFIER", recorder->identifier);
	record_field(recorder, "MESSAGE_ID", message_id);
}

/* Numbers and sends what was built, without telling about earlier losses. */
static bool submit_built(struct recorder *recorder)
{
	record_number(recorder, "PORTERD_SEQUENCE", (int64_t)++recorder->sequence);
	return !recorder->broken && record_sink_send(recorder->sink, recorder->buffer + recorder->begin,
						      recorder->size - recorder->begin) >= 0;
}

bool recorder_flush(struct recorder *recorder)
{
	if (recorder->untold == 0)
		return true;

	record_begin(recorder, LOG_WARNING, MESSAGE_ID_DROPPED);
	record_format(recorder, "MESSAGE", "%llu records were dropped while the journal could not be reached",
		      (unsigned long long)recorder->untold);
	record_number(recorder, "PORTERD_DROPPED", (int64_t)recorder->untold);
	if (!submit_built(recorder)) {
		/* This record says nothing that the next try won't say, so it takes no number. */
		recorder->sequence--;
		return false;
	}

	recorder->untold = 0;
	return true;
}

static void count_dropped(struct recorder *recorder, size_t count)
{
	recorder->dropped += count;
	recorder->untold += count;
}

/* Sends what is held. */
static void send_held(struct recorder *recorder)
{
	struct iovec records[HELD_MAX];
	size_t count = recorder->n_held, sent, at = 0;

	for (size_t i = 0; i < count; i++) {
		records[i] = (struct iovec){ recorder->buffer + at, recorder->ends[i] - at };
		at = recorder->ends[i];
	}
	sent = record_sink_send_many(recorder->sink, records, count);
	recorder->begin = recorder->n_held = 0;
	count_dropped(recorder, count - sent);
	if (sent > 0)
		(void)recorder_flush(recorder);
}

/* Numbers what was built, and keeps it. */
static bool keep_built(struct recorder *recorder)
{
	record_number(recorder, "PORTERD_SEQUENCE", (int64_t)++recorder->sequence);
	if (recorder->broken) {
		count_dropped(recorder, 1);
		return false;
	}
	recorder->ends[recorder->n_held++] = recorder->begin = recorder->size;
	if (recorder->n_held == HELD_MAX || recorder->size > HELD_SIZE)
		send_held(recorder);
	return true;
}

void record_hold(struct recorder *recorder)
{
	recorder->holding = true;
}

void record_release(struct recorder *recorder)
{
	recorder->holding = false;
	if (recorder->n_held > 0)
		send_held(recorder);
}

bool record_submit(struct recorder *recorder)
{
	bool sent;

	if (recorder->holding)
		return keep_built(recorder);
	sent = submit_built(recorder);
	if (sent)
		(void)recorder_flush(recorder);
	else
		count_dropped(recorder, 1);
	return sent;
}

bool record_try(struct recorder *recorder)
{
	bool sent = submit_built(recorder);

	if (sent)
		(void)recorder_flush(recorder);
	else
		recorder->sequence--;
	return sent;
}

void record_event(struct recorder *recorder, int priority, const char *message_id, const char *format, ...)
{
	va_list arguments;

	record_begin(recorder, priority, message_id);
	va_start(arguments, format);
	record_format_v(recorder, "MESSAGE", format, arguments);
	va_end(arguments);
	(void)record_submit(recorder);
}

struct recorder_counts recorder_counts(const struct recorder *recorder)
{
	return (struct recorder_counts){ .sequence = recorder->sequence, .dropped = recorder->dropped };
}
