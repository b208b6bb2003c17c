/* SPDX-License-Identifier: MIT
 *
 * Varlink's framing, envelopes and dispatch, with a small service: however the bytes are cut, the answers are the same.
 */
#include "tests/fuzz/fuzz.h"
#include "varlink/dispatch.h"

struct conversation {
	struct varlink_input input;
	struct varlink_output output;
	struct varlink_call call;
	bool closed;
};

static int keep_reply(struct varlink_call *call, json_t *reply, struct fdset *fds)
{
	struct conversation *conversation = CONTAINER_OF(call, struct conversation, call);

	fuzz_expect(!fds || fds->count > 0);
	fuzz_expect(!call->envelope.oneway);
	return varlink_output_add(&conversation->output, reply, true);
}

static int run_echo(struct varlink_call *call)
{
	return varlink_reply(call, json_pack("{s:s}", "text", varlink_call_string(call, "text")));
}

/* A reply for each name where the call asked for more, otherwise how many there are. */
static int run_many(struct varlink_call *call)
{
	json_t *names = varlink_call_parameter(call, "names");

	for (size_t i = 0; call->envelope.more && i < json_array_size(names); i++) {
		int r = varlink_reply_continues(call, json_pack("{s:O}", "name", json_array_get(names, i)));

		if (r < 0)
			return r;
	}
	return varlink_reply(call, json_pack("{s:I}", "count", (json_int_t)json_array_size(names)));
}

static int run_later(struct varlink_call *call)
{
	fuzz_expect(call->pending);
	return 0;
}

static int run_error(struct varlink_call *call)
{
	return varlink_reply_error(call, "a.b.Error", NULL);
}

static const struct varlink_interface interface = {
	.name = "a.b",
	.description = "interface a.b",
	.methods =
		(const struct varlink_method[]){
			{ "Echo", (const struct varlink_parameter[]){ { "text", VARLINK_STRING, false }, { 0 } }, run_echo },
			{ "Many", (const struct varlink_parameter[]){ { "names", VARLINK_STRINGS, true }, { 0 } }, run_many },
			{ "Later", NULL, run_later },
			{ "Error", NULL, run_error },
			{ 0 },
		},
};

static const struct varlink_interface *const interfaces[] = { &varlink_service_interface, &interface, NULL };
static const struct varlink_service service = {
	.vendor = "v",
	.product = "p",
	.version = "1",
	.url = "u",
	.interfaces = interfaces,
};

/* Runs what is whole. */
static void run_calls(struct conversation *conversation)
{
	while (!conversation->closed) {
		const char *message;
		size_t size;
		int r = varlink_input_next(&conversation->input, &message, &size);

		if (r == 0)
			return;
		if (r > 0)
			r = varlink_dispatch(&conversation->call, message, size);
		if (r >= 0 && conversation->call.pending)
			r = varlink_reply(&conversation->call, json_pack("{s:b}", "later", true));
		fuzz_expect(!conversation->call.message && !conversation->call.pending);
		conversation->closed = r < 0;
	}
}

static void receive(struct conversation *conversation, const uint8_t *data, size_t size)
{
	while (size > 0 && !conversation->closed) {
		size_t room, n;
		void *to = varlink_input_room(&conversation->input, &room);

		if (!to) {
			fuzz_expect(room == 0);
			conversation->closed = true;
			return;
		}
		n = MIN_OF(size, room);
		memcpy(to, data, n);
		varlink_input_received(&conversation->input, n);
		data += n;
		size -= n;
		run_calls(conversation);
	}
}

static void converse(struct conversation *conversation, const uint8_t *data, size_t size, size_t pieces)
{
	struct fuzz_pieces cut;
	const uint8_t *piece;
	size_t n;

	*conversation = (struct conversation){
		.call = { .service = &service, .reply = keep_reply },
	};
	fuzz_pieces_init(&cut, data, size, pieces);
	while ((n = fuzz_pieces_next(&cut, &piece)) > 0)
		receive(conversation, piece, n);
}

static void end(struct conversation *conversation)
{
	varlink_call_abandon(&conversation->call);
	varlink_input_clear(&conversation->input);
	varlink_output_clear(&conversation->output);
}

/* All that was answered is JSON objects. */
static void check_output(const struct varlink_output *output)
{
	size_t at = output->begin;

	while (at < output->end) {
		const char *end = memchr(output->data + at, '\0', output->end - at);
		json_t *reply;

		fuzz_expect(end);
		reply = json_loads(output->data + at, JSON_REJECT_DUPLICATES, NULL);
		fuzz_expect(json_is_object(reply));
		json_decref(reply);
		at = (size_t)(end - output->data) + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conversation whole, cut;

	converse(&whole, data, size, 0);
	converse(&cut, data, size, 100000);
	check_output(&whole.output);
	fuzz_expect(whole.closed == cut.closed);
	fuzz_expect(whole.output.end == cut.output.end);
	fuzz_expect(whole.output.end == 0 || memcmp(whole.output.data, cut.output.data, whole.output.end) == 0);
	end(&whole);
	end(&cut);
	return 0;
}
