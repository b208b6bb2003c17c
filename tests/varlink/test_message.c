/* SPDX-License-Identifier: MIT
 *
 * Framing: whatever a stream does to the bytes, the messages come out the same. Parsing: tables of what is one.
 */
#include "varlink/message.h"

#include <stdint.h>

#include "tests/base/unit.h"

/* --- framing --- */

/* Gives the bytes to the input in a chunk, as a receiver would: never more than it has room for.
 * 0, or what ended the stream. Check notes each assertion in a file, so loops over bytes assert only failures. */
static int feed(struct varlink_input *input, const char *data, size_t size)
{
	while (size > 0) {
		size_t room, part;
		void *to = varlink_input_room(input, &room);

		if (!to)
			return -EMSGSIZE;
		if (room == 0)
			ck_abort_msg("room for nothing");
		part = MIN_OF(size, room);
		memcpy(to, data, part);
		varlink_input_received(input, part);
		data += part;
		size -= part;
	}
	return 0;
}

/* Appends the messages that are there to `text`, each in brackets; returns what ended them. */
static int collect(struct varlink_input *input, char *text, size_t text_size)
{
	const char *message;
	size_t size;
	int r;

	while ((r = varlink_input_next(input, &message, &size)) > 0) {
		size_t used = strlen(text);

		(void)snprintf(text + used, text_size - used, "[%.*s]", (int)size, message);
	}
	return r;
}

static const struct {
	const char *bytes;
	size_t size;
	const char *messages;
	bool rest;
} streams[] = {
	{ "", 0, "", false },
	{ "{}", 2, "", true },
	{ "{}\0", 3, "[{}]", false },
	{ "\0", 1, "[]", false },
	{ "\0\0\0", 3, "[][][]", false },
	{ "{}\0{}\0", 6, "[{}][{}]", false },
	{ "{\"a\":1}\0{\"b\"", 12, "[{\"a\":1}]", true },
	{ "a\0\0b\0c", 6, "[a][][b]", true },
	{ "one\0two\0three\0four\0five\0", 24, "[one][two][three][four][five]", false },
	{ "\n{}\n\0\r\n\0", 8, "[\n{}\n][\r\n]", false },
};

START_TEST(streams_may_be_split_anywhere)
{
	size_t size = streams[_i].size;

	for (size_t first = 0; first <= size; first++) {
		for (size_t second = first; second <= size; second++) {
			struct varlink_input input = { 0 };
			char text[256] = "";

			ck_assert_int_eq(feed(&input, streams[_i].bytes, first), 0);
			ck_assert_int_eq(collect(&input, text, sizeof(text)), 0);
			ck_assert_int_eq(feed(&input, streams[_i].bytes + first, second - first), 0);
			ck_assert_int_eq(collect(&input, text, sizeof(text)), 0);
			ck_assert_int_eq(feed(&input, streams[_i].bytes + second, size - second), 0);
			ck_assert_int_eq(collect(&input, text, sizeof(text)), 0);
			ck_assert_str_eq(text, streams[_i].messages);
			ck_assert_int_eq(varlink_input_pending(&input), streams[_i].rest);
			/* An idle connection holds no memory. */
			if (!streams[_i].rest)
				ck_assert_ptr_null(input.data);
			varlink_input_clear(&input);
			ck_assert(!varlink_input_pending(&input));
		}
	}
}
END_TEST

START_TEST(streams_may_come_byte_by_byte)
{
	struct varlink_input input = { 0 };
	char text[256] = "";

	for (size_t i = 0; i < streams[_i].size; i++) {
		ck_assert_int_eq(feed(&input, streams[_i].bytes + i, 1), 0);
		ck_assert_int_eq(collect(&input, text, sizeof(text)), 0);
	}
	ck_assert_str_eq(text, streams[_i].messages);
	varlink_input_clear(&input);
}
END_TEST

START_TEST(nothing_received_is_nothing)
{
	struct varlink_input input = { 0 };
	const char *message;
	size_t room, size;

	ck_assert_ptr_nonnull(varlink_input_room(&input, &room));
	varlink_input_received(&input, 0);
	ck_assert_ptr_null(input.data);
	ck_assert_int_eq(varlink_input_next(&input, &message, &size), 0);
	varlink_input_clear(&input);
}
END_TEST

/* Messages of all sizes that surround the buffer's, one behind the other. */
START_TEST(sizes_around_the_buffer_fit)
{
	static const size_t sizes[] = { 1, 4094, 4095, 4096, 4097, 1, 8190, 8191, 8192, 8193, 2, 3, 70000, 4095, 1 };
	struct varlink_input input = { 0 };
	const char *message;
	size_t at, size;

	for (size_t chunk = 1; chunk < 20000; chunk = chunk * 3 + 1) {
		size_t total = 0, got = 0;
		static char stream[256 * 1024];

		for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
			memset(stream + total, 'a' + (int)i, sizes[i]);
			stream[total + sizes[i]] = '\0';
			total += sizes[i] + 1;
		}
		for (at = 0; at < total; at += chunk) {
			if (feed(&input, stream + at, MIN_OF(chunk, total - at)) < 0)
				ck_abort_msg("no room at %zu", at);
			while (varlink_input_next(&input, &message, &size) > 0) {
				ck_assert_uint_lt(got, ELEMENTSOF(sizes));
				ck_assert_uint_eq(size, sizes[got]);
				ck_assert_int_eq(message[0], 'a' + (int)got);
				ck_assert_int_eq(message[size - 1], 'a' + (int)got);
				ck_assert_int_eq(message[size], '\0');
				got++;
			}
		}
		ck_assert_uint_eq(got, ELEMENTSOF(sizes));
		ck_assert_ptr_null(input.data);
	}
	varlink_input_clear(&input);
}
END_TEST

START_TEST(the_largest_message_fits_and_no_larger)
{
	static const size_t chunks[] = { VARLINK_MESSAGE_MAX + 2, 65536, 4096, 4095, 1021 };
	char *data = malloc(VARLINK_MESSAGE_MAX + 2);
	struct varlink_input input = { 0 };
	const char *message;
	size_t size, room, at;
	int r = 0;

	memset(data, 'm', VARLINK_MESSAGE_MAX + 2);
	data[VARLINK_MESSAGE_MAX] = '\0';
	/* With something before it, and the begin of the next behind it. */
	ck_assert_int_eq(feed(&input, "first\0", 6), 0);
	for (at = 0; at < VARLINK_MESSAGE_MAX + 2; at += chunks[_i]) {
		size_t part = MIN_OF(chunks[_i], VARLINK_MESSAGE_MAX + 2 - at), done = 0;

		while (done < part) {
			void *to = varlink_input_room(&input, &room);
			size_t piece = MIN_OF(room, part - done);

			if (!to)
				ck_abort_msg("no room at %zu", at + done);
			memcpy(to, data + at + done, piece);
			varlink_input_received(&input, piece);
			done += piece;
			while ((r = varlink_input_next(&input, &message, &size)) > 0)
				if (size != 5 && size != VARLINK_MESSAGE_MAX)
					ck_abort_msg("a message of %zu bytes", size);
			if (r < 0)
				ck_abort_msg("ended at %zu", at + done);
		}
		ck_assert_uint_le(input.capacity, VARLINK_MESSAGE_MAX + 1);
	}
	ck_assert_uint_eq(input.end - input.begin, 1);
	varlink_input_clear(&input);

	/* One more, and it is over; nothing makes room for it either. */
	data[VARLINK_MESSAGE_MAX] = 'm';
	r = 0;
	for (at = 0; at < VARLINK_MESSAGE_MAX + 1 && r == 0; at += chunks[_i]) {
		if (feed(&input, data + at, MIN_OF(chunks[_i], VARLINK_MESSAGE_MAX + 1 - at)) < 0)
			ck_abort_msg("no room at %zu", at);
		r = varlink_input_next(&input, &message, &size);
	}
	ck_assert_int_eq(r, -EMSGSIZE);
	ck_assert_uint_ge(at, VARLINK_MESSAGE_MAX + 1);
	ck_assert_ptr_null(varlink_input_room(&input, &room));
	ck_assert_uint_eq(room, 0);
	ck_assert_int_eq(varlink_input_next(&input, &message, &size), -EMSGSIZE);
	varlink_input_clear(&input);
	free(data);
}
END_TEST

/* Each byte is searched once, or this would take time that grows with the square of the size. */
START_TEST(the_largest_message_may_come_byte_by_byte)
{
	struct varlink_input input = { 0 };
	const char *message;
	size_t size;

	for (size_t i = 0; i < VARLINK_MESSAGE_MAX; i++) {
		if (feed(&input, "m", 1) < 0 || varlink_input_next(&input, &message, &size) != 0)
			ck_abort_msg("ended after %zu bytes", i);
		if (input.scanned != input.end)
			ck_abort_msg("will search %zu bytes again", input.end - input.scanned);
	}
	ck_assert_int_eq(feed(&input, "", 1), 0);
	ck_assert_int_eq(varlink_input_next(&input, &message, &size), 1);
	ck_assert_uint_eq(size, VARLINK_MESSAGE_MAX);
	varlink_input_clear(&input);
}
END_TEST

/* --- output --- */

START_TEST(output_is_compact_and_terminated)
{
	json_t *object = json_pack("{s:s, s:[i,n], s:{}}", "text", "a\n\xc3\xa4", "list", 1, "empty");
	struct varlink_output output = { 0 };
	static const char text[] = "{\"text\":\"a\\n\xc3\xa4\",\"list\":[1,null],\"empty\":{}}";

	ck_assert(!varlink_output_pending(&output));
	ck_assert_int_eq(varlink_output_add(&output, object, true), 0);
	ck_assert_int_eq(varlink_output_add(&output, object, false), 0);
	ck_assert(varlink_output_pending(&output));
	ck_assert_uint_eq(output.end - output.begin, 2 * sizeof(text) - 1);
	ck_assert_mem_eq(output.data, text, sizeof(text));
	ck_assert_mem_eq(output.data + sizeof(text), text, sizeof(text) - 1);

	varlink_output_sent(&output, 1);
	ck_assert(varlink_output_pending(&output));
	ck_assert_mem_eq(output.data + output.begin, text + 1, sizeof(text) - 1);
	varlink_output_sent(&output, output.end - output.begin);
	ck_assert(!varlink_output_pending(&output));
	ck_assert_ptr_null(output.data);
	varlink_output_clear(&output);
	json_decref(object);
}
END_TEST

/* One object that takes `size` bytes, behind what is there already. */
static void add_of_size(struct varlink_output *output, size_t size)
{
	static char value[8192];
	static const char head[] = "{\"a\":\"", tail[] = "\"}";
	size_t before = output->end - output->begin, n = size - strlen(head) - strlen(tail);
	const char *text;
	json_t *object;

	memset(value, 'v', sizeof(value));
	object = json_pack("{s:s%}", "a", value, n);
	if (varlink_output_add(output, object, true) < 0 || output->end - output->begin != before + size + 1)
		ck_abort_msg("%zu bytes went wrong behind %zu", size, before);
	text = output->data + output->begin + before;
	if (memcmp(text, head, strlen(head)) != 0 || memcmp(text + strlen(head), value, n) != 0 ||
	    memcmp(text + size - strlen(tail), tail, sizeof(tail)) != 0)
		ck_abort_msg("%zu bytes are not whole behind %zu", size, before);
	json_decref(object);
}

/* Whatever room the buffer happens to have left, down to the last byte. */
START_TEST(output_of_any_size_is_whole)
{
	struct varlink_output output = { 0 };

	for (size_t size = 10; size < 5000; size++) {
		size_t room;

		add_of_size(&output, size);
		room = output.capacity - output.end;
		if (room > 20 && room < 8000)
			add_of_size(&output, room + 10 - size % 20);
		varlink_output_clear(&output);
	}
	for (size_t size = 10; size < 600; size++) {
		add_of_size(&output, size);
		if (size % 3 == 2)
			varlink_output_sent(&output, 7);
	}
	varlink_output_clear(&output);
	ck_assert_ptr_null(output.data);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(streams_may_be_split_anywhere, ELEMENTSOF(streams)),
		UNIT_LOOP(streams_may_come_byte_by_byte, ELEMENTSOF(streams)),
		UNIT_TEST(nothing_received_is_nothing),
		UNIT_TEST(sizes_around_the_buffer_fit),
		UNIT_LOOP(the_largest_message_fits_and_no_larger, 5),
		UNIT_TEST(the_largest_message_may_come_byte_by_byte),
		UNIT_TEST(output_is_compact_and_terminated),
		UNIT_TEST(output_of_any_size_is_whole),
		{ 0 },
	};

	return unit_run("message", tests, &(struct unit_around){ .seconds = 60 });
}
