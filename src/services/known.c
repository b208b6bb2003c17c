/* SPDX-License-Identifier: MIT
 *
 * Calls that a client repeats in the same words.
 */
#include "services/known.h"

/* Longer ones are not kept. */
#define CALL_MAX 256UL
#define REPLY_MAX 4096UL

struct known_reply {
	size_t call_size, size;
	char bytes[]; /* the call's, then the reply's */
};

struct known_call {
	struct varlink_known call;
	size_t size;
	char text[];
};

static void forget_call(struct known *known)
{
	if (known->call)
		varlink_known_clear(&known->call->call);
	free(TAKE_POINTER(known->call));
}

void known_clear(struct known *known)
{
	free(TAKE_POINTER(known->reply));
	forget_call(known);
}

void known_keep_reply(struct known *known, const struct known_text *call, const char *reply, size_t size)
{
	struct known_reply *kept;

	if (call->size > CALL_MAX || size > REPLY_MAX)
		return;
	free(known->reply);
	known->reply = kept = malloc(sizeof(*kept) + call->size + size);
	if (!kept)
		return;
	kept->call_size = call->size;
	kept->size = size;
	memcpy(kept->bytes, call->data, call->size);
	memcpy(kept->bytes + call->size, reply, size);
}

const char *known_find_reply(const struct known *known, const struct known_text *call, size_t *ret_size)
{
	const struct known_reply *kept = known->reply;

	if (!kept || kept->call_size != call->size || memcmp(kept->bytes, call->data, call->size) != 0)
		return NULL;
	*ret_size = kept->size;
	return kept->bytes + kept->call_size;
}

void known_keep_call(struct known *known, const struct known_text *text, const struct varlink_call *call)
{
	struct known_call *kept;

	if (text->size > CALL_MAX || known_find_call(known, text))
		return;
	forget_call(known);
	kept = malloc(sizeof(*kept) + text->size);
	if (!kept || !varlink_known_keep(&kept->call, call)) {
		free(kept);
		return;
	}
	kept->size = text->size;
	memcpy(kept->text, text->data, text->size);
	known->call = kept;
}

const struct varlink_known *known_find_call(const struct known *known, const struct known_text *text)
{
	const struct known_call *kept = known->call;

	return kept && kept->size == text->size && memcmp(kept->text, text->data, kept->size) == 0 ? &kept->call : NULL;
}
