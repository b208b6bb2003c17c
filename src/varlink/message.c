/* SPDX-License-Identifier: MIT
 *
 * Varlink's framing and envelopes.
 */
#include "varlink/message.h"

#include "varlink/beyond.h"

#define CHUNK 4096UL

/* Buffers of the first size are needed for a moment only and come and go with each call, so the last ones that were
 * given back wait here for the next: one for input and one for output. */
static char *spares[2];

static char *buffer_take(void)
{
	for (size_t i = 0; i < ELEMENTSOF(spares); i++)
		if (spares[i])
			return TAKE_POINTER(spares[i]);
	return malloc(CHUNK);
}

static void buffer_give(char *data, size_t capacity)
{
	for (size_t i = 0; capacity == CHUNK && i < ELEMENTSOF(spares); i++)
		if (!spares[i]) {
			spares[i] = data;
			return;
		}
	free(data);
}

static char *buffer_grow(char *data, size_t capacity)
{
	return data ? realloc(data, capacity) : capacity == CHUNK ? buffer_take() : malloc(capacity);
}

void varlink_input_clear(struct varlink_input *input)
{
	buffer_give(input->data, input->capacity);
	*input = (struct varlink_input){ 0 };
}

void *varlink_input_room(struct varlink_input *input, size_t *ret_room)
{
	size_t held = input->end - input->begin;

	*ret_room = 0;
	if (held > VARLINK_MESSAGE_MAX)
		return NULL;

	/* What was consumed makes room first; only one message that is larger than the buffer grows it. */
	if (input->end == input->capacity && input->begin > 0) {
		memmove(input->data, input->data + input->begin, held);
		input->scanned -= input->begin;
		input->begin = 0;
		input->end = held;
	}

	if (input->end == input->capacity) {
		size_t capacity = input->capacity ? MIN_OF(2 * input->capacity, VARLINK_MESSAGE_MAX + 1) : CHUNK;
		char *data = buffer_grow(input->data, capacity);

		if (!data)
			return NULL;
		input->data = data;
		input->capacity = capacity;
	}

	*ret_room = input->capacity - input->end;
	return input->data + input->end;
}

void varlink_input_received(struct varlink_input *input, size_t size)
{
	input->end += size;
	if (input->begin == input->end)
		varlink_input_clear(input);
}

int varlink_input_add(struct varlink_input *input, const void *data, size_t size)
{
	while (size > 0) {
		size_t room, part;
		void *to = varlink_input_room(input, &room);

		if (!to)
			return room == 0 ? -EBADMSG : -ENOMEM;
		part = MIN_OF(size, room);
		memcpy(to, data, part);
		varlink_input_received(input, part);
		data = (const char *)data + part;
		size -= part;
	}
	return 0;
}

int varlink_input_next(struct varlink_input *input, const char **ret, size_t *ret_size)
{
	char *end = NULL;

	/* Bytes already searched are not searched again: a message that comes a byte at a time stays linear. */
	if (input->scanned < input->end)
		end = memchr(input->data + input->scanned, '\0', input->end - input->scanned);

	if (!end) {
		input->scanned = input->end;
		if (input->begin == input->end) {
			varlink_input_clear(input);
			return 0;
		}
		return input->end - input->begin > VARLINK_MESSAGE_MAX ? -EMSGSIZE : 0;
	}

	*ret = input->data + input->begin;
	*ret_size = (size_t)(end - *ret);
	input->begin += *ret_size + 1;
	input->scanned = input->begin;
	return *ret_size > VARLINK_MESSAGE_MAX ? -EMSGSIZE : 1;
}

bool varlink_input_pending(const struct varlink_input *input)
{
	return input->begin < input->end;
}

void varlink_output_clear(struct varlink_output *output)
{
	buffer_give(output->data, output->capacity);
	*output = (struct varlink_output){ 0 };
}

bool varlink_output_pending(const struct varlink_output *output)
{
	return output->begin < output->end;
}

static int output_reserve(struct varlink_output *output, size_t size)
{
	size_t capacity;
	char *data;

	if (size <= output->capacity - output->end)
		return 0;

	capacity = 2 * (output->end + size);
	if (capacity < CHUNK)
		capacity = CHUNK;
	data = buffer_grow(output->data, capacity);
	if (!data)
		return -ENOMEM;
	output->data = data;
	output->capacity = capacity;
	return 0;
}

int varlink_output_add(struct varlink_output *output, const json_t *object, bool terminate)
{
	/* Most replies fit at the first try; json_dumpb() says what it would have needed. */
	size_t guess = 512;

	for (;;) {
		size_t needed;

		if (output_reserve(output, guess + 1) < 0)
			return -ENOMEM;
		needed = json_dumpb(object, output->data + output->end, output->capacity - output->end - 1,
				    JSON_COMPACT);
		if (needed == 0)
			return -ENOMEM;
		if (needed <= output->capacity - output->end - 1) {
			output->end += needed;
			if (terminate)
				output->data[output->end++] = '\0';
			return 0;
		}
		guess = needed;
	}
}

int varlink_output_copy(struct varlink_output *output, const char *bytes, size_t size)
{
	if (output_reserve(output, size) < 0)
		return -ENOMEM;
	memcpy(output->data + output->end, bytes, size);
	output->end += size;
	return 0;
}

void varlink_output_sent(struct varlink_output *output, size_t size)
{
	output->begin += size;
	if (output->begin == output->end)
		varlink_output_clear(output);
}

/* Is the text nested no deeper than allowed, and of no more values? jansson's own limit of depth is 2048 and fixed
 * when it is built, and it knows none of values: 1 MiB of them can take 80 in memory. */
static bool shape_is_allowed(const char *text, size_t size)
{
	unsigned depth = 0;
	size_t values = 1;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > VARLINK_DEPTH_MAX || ++values > VARLINK_VALUES_MAX)
				return false;
		} else if (c == ',') {
			if (++values > VARLINK_VALUES_MAX)
				return false;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return true;
}

/* The library's reader does not look whether the buffer of a string could be made larger. The string lacks a character
 * then, so a client gets another file than it asked for; or it lacks its end, and the reader goes on behind it. What
 * it allocates next is room for the value, and without that it gives up. So when memory was short once while a message
 * is read, there is none until its end. */
static bool reading, was_short;

static void *allocate(size_t size)
{
	void *memory = was_short ? NULL : malloc(size);

	was_short = reading && !memory;
	return memory;
}

static json_t *read_object(const char *text, size_t size)
{
	json_t *message;

	json_set_alloc_funcs(allocate, free);
	reading = true;
	message = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	reading = false;
	return message;
}

/* The library did not read it: because it is wrong, or because something in it, that may be of no matter, is beyond what
 * it holds. */
static json_t *read_beyond(const char *text, size_t size)
{
	_cleanup_free_ char *copy = malloc(size + 1);
	json_t *message = NULL;

	if (!copy) {
		was_short = true;
		return NULL;
	}
	memcpy(copy, text, size);
	for (unsigned no_nul = 0; no_nul < 2 && !message && !was_short; no_nul++) {
		beyond_replace(copy, size, no_nul);
		message = read_object(copy, size);
	}
	return message;
}

int varlink_message_parse(const char *text, size_t size, json_t **ret)
{
	_cleanup_json_ json_t *message = NULL;

	if (!shape_is_allowed(text, size))
		return -EBADMSG;

	message = read_object(text, size);
	if (!message && !was_short)
		message = read_beyond(text, size);
	if (was_short) {
		was_short = false;
		return -ENOMEM;
	}
	if (!json_is_object(message))
		return -EBADMSG;

	*ret = TAKE_POINTER(message);
	return 0;
}

const char *varlink_string(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static int read_flag(const json_t *value, bool *ret)
{
	/* null is a nullable field's absence. */
	if (!json_is_boolean(value) && !json_is_null(value))
		return -EBADMSG;
	*ret = json_is_true(value);
	return 0;
}

int varlink_envelope_read(json_t *message, struct varlink_envelope *ret)
{
	struct varlink_envelope envelope = { 0 };
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach(message, key, value) {
		if (strcmp(key, "method") == 0) {
			envelope.method = varlink_string(value);
		} else if (strcmp(key, "parameters") == 0) {
			if (!json_is_object(value) && !json_is_null(value))
				return -EBADMSG;
			envelope.parameters = json_object_size(value) > 0 ? value : NULL;
		} else if (strcmp(key, "oneway") == 0) {
			r = read_flag(value, &envelope.oneway);
		} else if (strcmp(key, "more") == 0) {
			r = read_flag(value, &envelope.more);
		} else if (strcmp(key, "upgrade") == 0) {
			r = read_flag(value, &envelope.upgrade);
		} else if (!strchr(key, '.') || !json_is_object(value)) {
			/* Vendors' extensions are objects under a name with a dot, and ignored. */
			return -EBADMSG;
		}
		if (r < 0)
			return r;
	}

	if (!envelope.method || envelope.oneway + envelope.more + envelope.upgrade > 1)
		return -EBADMSG;

	*ret = envelope;
	return 0;
}
