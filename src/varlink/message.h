/* SPDX-License-Identifier: MIT
 *
 * Varlink's framing (UAPI.20): JSON objects, each ended by a NUL byte, on a stream that may split and merge
 * them at will. No side effects: no sockets, no clocks, no allocation that a peer can't be charged for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"

#define VARLINK_MESSAGE_MAX (1024UL * 1024UL) /* bytes, without the NUL */
#define VARLINK_DEPTH_MAX 64		      /* levels of objects and arrays */
#define VARLINK_VALUES_MAX 16384UL	      /* about so many values: in memory each takes far more than its text */

/* Bytes received and not yet consumed. All zero is empty; an empty one holds no memory. */
struct varlink_input {
	char *data;
	size_t begin, end, capacity;
	size_t scanned; /* up to here no NUL was found */
};

void varlink_input_clear(struct varlink_input *input);

/* Room to receive into: sets *ret_room to at least one byte. NULL: out of memory, or (*ret_room is then 0) the
 * message under way is longer than allowed. Follow with varlink_input_received(). */
void *varlink_input_room(struct varlink_input *input, size_t *ret_room);
void varlink_input_received(struct varlink_input *input, size_t size);

/* Adds what was received before, by somebody else. 0; -EBADMSG: it holds a message longer than allowed; -ENOMEM. */
int varlink_input_add(struct varlink_input *input, const void *data, size_t size);

/* The next whole message, without its NUL; valid until the next call with this input.
 * 1: there is one; 0: more bytes are needed; -EMSGSIZE: it is longer than allowed. */
int varlink_input_next(struct varlink_input *input, const char **ret, size_t *ret_size);

/* Are there bytes of which no message was made yet? */
bool varlink_input_pending(const struct varlink_input *input);

/* Bytes to be sent. As above, an empty one holds no memory. */
struct varlink_output {
	char *data;
	size_t begin, end, capacity;
};

void varlink_output_clear(struct varlink_output *output);
bool varlink_output_pending(const struct varlink_output *output);

/* Appends an object in compact form, and the NUL if `terminate`. -ENOMEM. */
int varlink_output_add(struct varlink_output *output, const json_t *object, bool terminate);

/* Appends bytes as they are: a reply that was made before. -ENOMEM. */
int varlink_output_copy(struct varlink_output *output, const char *bytes, size_t size);

/* Tells that the first `size` bytes were sent. */
void varlink_output_sent(struct varlink_output *output, size_t size);

/* Parses one message: a JSON object within the limits, no duplicate keys. *ret is owned by the caller.
 * -EBADMSG: it is not such an object. -ENOMEM. Sets the JSON library's functions to allocate, to know of the latter. */
int varlink_message_parse(const char *text, size_t size, json_t **ret);

/* The text of a string, unless it has U+0000 in it, which no name has and C can't say: NULL, as for what is no string. */
const char *varlink_string(const json_t *value);

/* A call's envelope. Strings and parameters belong to the object that it was read from. */
struct varlink_envelope {
	const char *method;
	json_t *parameters; /* NULL where absent, null or empty, which all mean the same */
	bool oneway, more, upgrade;
};

/* Reads the envelope of a call. -EBADMSG: not one that UAPI.20 allows; there is no reply to such a message. */
int varlink_envelope_read(json_t *message, struct varlink_envelope *ret);
