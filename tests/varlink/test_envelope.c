/* SPDX-License-Identifier: MIT
 *
 * What is a message, and what of it is a call.
 */
#include "varlink/message.h"

#include <stdint.h>

#include "tests/base/unit.h"

/* --- messages --- */

struct text {
	const char *text;
	int result;
};

static const struct text texts[] = {
	{ "{}", 0 },
	{ " \t\r\n{ } \n", 0 },
	{ "{\"a\":1}", 0 },
	{ "{\"a\":{\"a\":1}}", 0 },
	{ "{\"a\":9223372036854775807,\"b\":-9223372036854775808}", 0 },
	{ "{\"a\":1.5e10}", 0 },
	{ "{\"a\":\"\\ud834\\udd1e\"}", 0 },
	{ "{\"a\":\"\xf0\x9d\x84\x9e\"}", 0 },
	{ "{\"a\":\"}{][\\\"}{\\\\\"}", 0 },
	{ "", -EBADMSG },
	{ " ", -EBADMSG },
	{ "null", -EBADMSG },
	{ "true", -EBADMSG },
	{ "1", -EBADMSG },
	{ "\"a\"", -EBADMSG },
	{ "[]", -EBADMSG },
	{ "[{}]", -EBADMSG },
	{ "{", -EBADMSG },
	{ "}", -EBADMSG },
	{ "{}}", -EBADMSG },
	{ "{}{}", -EBADMSG },
	{ "{} x", -EBADMSG },
	{ "{},", -EBADMSG },
	{ "\xef\xbb\xbf{}", -EBADMSG },
	{ "{'a':1}", -EBADMSG },
	{ "{a:1}", -EBADMSG },
	{ "{\"a\":1,}", -EBADMSG },
	{ "{\"a\"}", -EBADMSG },
	{ "{\"a\":}", -EBADMSG },
	{ "{\"a\":01}", -EBADMSG },
	{ "{\"a\":+1}", -EBADMSG },
	{ "{\"a\":NaN}", -EBADMSG },
	{ "{\"a\":0x1}", -EBADMSG },
	{ "{/**/}", -EBADMSG },
	{ "{\"a\":\"", -EBADMSG },
	{ "{\"a\":\"\\", -EBADMSG },
	{ "{\"a\":\"\\x\"}", -EBADMSG },
	{ "{\"a\":\"\n\"}", -EBADMSG },
	/* Twice the same key, however it is written. */
	{ "{\"a\":1,\"a\":1}", -EBADMSG },
	{ "{\"a\":1,\"\\u0061\":2}", -EBADMSG },
	{ "{\"b\":{\"a\":1,\"a\":1}}", -EBADMSG },
	/* UTF-8: cut, overlong, a surrogate, beyond Unicode, a stray byte. */
	{ "{\"a\":\"\xc3\"}", -EBADMSG },
	{ "{\"a\":\"\xc0\x80\"}", -EBADMSG },
	{ "{\"a\":\"\xed\xa0\x80\"}", -EBADMSG },
	{ "{\"a\":\"\xf4\x90\x80\x80\"}", -EBADMSG },
	{ "{\"a\":\"\x80\"}", -EBADMSG },
	{ "{\"\xff\":1}", -EBADMSG },
	/* Valid, and beyond what the library holds. */
	{ "{\"a\":\"\\ud834\"}", 0 },
	{ "{\"a\":\"\\udd1e\\ud834\"}", 0 },
	{ "{\"a\\ud834\":[]}", 0 },
	{ "{\"a\":\"\\u0000\"}", 0 },
	{ "{\"a\\u0000b\":1,\"c\":\"\\u0000\"}", 0 },
	{ "{\"a\":9223372036854775808}", 0 },
	{ "{\"a\":-9223372036854775809}", 0 },
	{ "{\"a\":999999999999999999999999999999999999}", 0 },
	{ "{\"a\":1e400,\"b\":[-1E+999,9e999,1.5e1000000000000000000]}", 0 },
	{ "{\"a\":1e-400}", 0 },
	/* Nothing of this is a number or a string by having such a neighbour. */
	{ "{\"a\":01e400}", -EBADMSG },
	{ "{\"a\":1e400,\"b\":1.}", -EBADMSG },
	{ "{\"a\":1e400,\"b\":1e}", -EBADMSG },
	{ "{\"a\":1e400e400}", -EBADMSG },
	{ "{\"a\":-}", -EBADMSG },
	{ "{\"a\":99999999999999999999.}", -EBADMSG },
	{ "{\"a\":\"\\u0000\\u00g0\"}", -EBADMSG },
	{ "{\"a\":\"\\u0000\\u00\"}", -EBADMSG },
	{ "{\"a\":\"\\u0000", -EBADMSG },
	{ "{\"a\":1e400", -EBADMSG },
	{ "{\"a\\u0000\":1,\"a\\ufffd\":1}", -EBADMSG },
};

/* In memory of just that size, so that a sanitizer sees a read beyond it. */
static int parse(const char *text, size_t size)
{
	char *exact = malloc(size ? size : 1);
	json_t *message = NULL;
	int r;

	memcpy(exact, text, size);
	r = varlink_message_parse(exact, size, &message);
	free(exact);
	ck_assert_int_eq(message != NULL, r == 0);
	json_decref(message);
	return r;
}

START_TEST(messages_are_objects)
{
	ck_assert_msg(parse(texts[_i].text, strlen(texts[_i].text)) == texts[_i].result, "'%s'", texts[_i].text);
}
END_TEST

/* What they are then: none of the values that a parameter can have. */
START_TEST(what_is_beyond_is_no_value)
{
	static const char text[] = "{\"real\":1e400,\"whole\":-18446744073709551615,\"long\":%0*d,\"nul\":\"web-key\\u0000x\","
				   "\"half\":\"a\\ud834b\",\"both\":\"\\\\u0000\",\"in\":\"1e400 99999999999999999999\","
				   "\"least\":-9223372036854775808}";
	char message[2000];
	json_t *object;

	(void)snprintf(message, sizeof(message), text, 600, 1);
	strstr(message, "\"long\":0")[7] = '1';
	ck_assert_int_eq(varlink_message_parse(message, strlen(message), &object), 0);
	ck_assert(json_is_real(json_object_get(object, "real")));
	ck_assert(json_is_real(json_object_get(object, "whole")));
	ck_assert(json_is_real(json_object_get(object, "long")));
	ck_assert_ptr_null(varlink_string(json_object_get(object, "nul")));
	ck_assert_ptr_null(varlink_string(json_object_get(object, "half")));
	ck_assert_str_eq(varlink_string(json_object_get(object, "both")), "\\u0000");
	ck_assert_str_eq(varlink_string(json_object_get(object, "in")), "1e400 99999999999999999999");
	ck_assert(json_integer_value(json_object_get(object, "least")) == INT64_MIN);
	json_decref(object);
}
END_TEST

START_TEST(cut_messages_are_none)
{
	static const char text[] =
		"{\"method\":\"a.b\\\"\\u00e4\",\"parameters\":{\"x\":[1,2.5,null,true,{\"y\":\"\xc3\xa4\"}]}}";

	for (size_t size = 0; size < sizeof(text) - 1; size++)
		ck_assert_int_eq(parse(text, size), -EBADMSG);
	ck_assert_int_eq(parse(text, sizeof(text) - 1), 0);
}
END_TEST

/* `levels` of objects or arrays, the message itself included, with strings that look like some more. */
static char *nested(size_t levels, bool arrays, bool disguised)
{
	static const char strings[] = "\"s\":\"[[[{{{\\\"[{\\\\\",";
	char *text = malloc(levels * (2 * sizeof(strings) + 16) + 64);
	size_t at = 0;

	for (size_t i = 0; i < levels; i++) {
		bool array = arrays && i > 0;

		text[at++] = array ? '[' : '{';
		if (disguised)
			at += (size_t)sprintf(text + at, "%s", array ? "\"]]]\\\"]\"," : strings);
		if (!array)
			at += (size_t)sprintf(text + at, "\"a\":");
	}
	text[at++] = '1';
	for (size_t i = levels; i-- > 0;)
		text[at++] = arrays && i > 0 ? ']' : '}';
	text[at] = '\0';
	return text;
}

START_TEST(levels_are_counted)
{
	bool arrays = _i & 1, disguised = _i & 2;
	static const struct {
		size_t levels;
		int result;
	} depths[] = { { 1, 0 }, { 63, 0 }, { 64, 0 }, { 65, -EBADMSG }, { 2000, -EBADMSG }, { 400000, -EBADMSG } };

	for (size_t i = 0; i < ELEMENTSOF(depths); i++) {
		char *text = nested(depths[i].levels, arrays, disguised);

		ck_assert_msg(parse(text, strlen(text)) == depths[i].result, "%zu levels", depths[i].levels);
		free(text);
	}
}
END_TEST

/* Many shallow ones side by side are not deep, and what closes too often does not buy depth. */
START_TEST(breadth_is_not_depth)
{
	char text[4096] = "{\"a\":[";

	for (size_t i = 0; i < 200; i++)
		(void)strcat(text, "[{}],");
	(void)strcat(text, "0]}");
	ck_assert_int_eq(parse(text, strlen(text)), 0);

	text[0] = '\0';
	for (size_t i = 0; i < 100; i++)
		(void)strcat(text, "}");
	ck_assert_int_eq(parse(text, strlen(text)), -EBADMSG);
}
END_TEST

/* --- envelopes --- */

#define CALL "\"method\":\"a.b.C\""

/* `flags`: o(neway), m(ore), u(pgrade), p(arameters). */
static const struct {
	const char *text;
	const char *flags; /* NULL: no call */
} envelopes[] = {
	{ "{" CALL "}", "" },
	{ "{" CALL ",\"parameters\":null}", "" },
	{ "{" CALL ",\"parameters\":{}}", "" },
	{ "{" CALL ",\"parameters\":{\"x\":null}}", "p" },
	{ "{\"parameters\":{\"x\":1}," CALL "}", "p" },
	{ "{" CALL ",\"oneway\":true}", "o" },
	{ "{" CALL ",\"more\":true}", "m" },
	{ "{" CALL ",\"upgrade\":true}", "u" },
	{ "{" CALL ",\"oneway\":false,\"more\":false,\"upgrade\":false}", "" },
	{ "{" CALL ",\"oneway\":null,\"more\":null,\"upgrade\":null}", "" },
	{ "{" CALL ",\"oneway\":false,\"more\":true,\"upgrade\":null}", "m" },
	{ "{" CALL ",\"oneway\":true,\"parameters\":{\"x\":1}}", "op" },
	{ "{\"method\":\"\"}", "" },
	{ "{" CALL ",\"com.example.trace\":{}}", "" },
	{ "{" CALL ",\"com.example.trace\":{\"id\":[1,2]},\"more\":true}", "m" },
	/* Nobody can ask for two of them. */
	{ "{" CALL ",\"oneway\":true,\"more\":true}", NULL },
	{ "{" CALL ",\"oneway\":true,\"upgrade\":true}", NULL },
	{ "{" CALL ",\"more\":true,\"upgrade\":true}", NULL },
	{ "{" CALL ",\"oneway\":true,\"more\":true,\"upgrade\":true}", NULL },
	/* Not booleans. */
	{ "{" CALL ",\"oneway\":1}", NULL },
	{ "{" CALL ",\"oneway\":0}", NULL },
	{ "{" CALL ",\"more\":\"true\"}", NULL },
	{ "{" CALL ",\"more\":[]}", NULL },
	{ "{" CALL ",\"upgrade\":{}}", NULL },
	{ "{" CALL ",\"upgrade\":1.0}", NULL },
	/* Not parameters. */
	{ "{" CALL ",\"parameters\":[]}", NULL },
	{ "{" CALL ",\"parameters\":\"\"}", NULL },
	{ "{" CALL ",\"parameters\":0}", NULL },
	{ "{" CALL ",\"parameters\":false}", NULL },
	/* Not a method. */
	{ "{}", NULL },
	{ "{\"parameters\":{}}", NULL },
	{ "{\"method\":null}", NULL },
	{ "{\"method\":1}", NULL },
	{ "{\"method\":true}", NULL },
	{ "{\"method\":[\"a.b.C\"]}", NULL },
	{ "{\"method\":{\"a\":\"b\"}}", NULL },
	{ "{\"Method\":\"a.b.C\"}", NULL },
	/* Members that no one knows, a reply's among them. */
	{ "{" CALL ",\"x\":1}", NULL },
	{ "{" CALL ",\"x\":{}}", NULL },
	{ "{" CALL ",\"\":{}}", NULL },
	{ "{" CALL ",\"error\":\"a.b.C\"}", NULL },
	{ "{" CALL ",\"continues\":true}", NULL },
	{ "{" CALL ",\"Oneway\":true}", NULL },
	{ "{" CALL ",\"com.example.trace\":1}", NULL },
	{ "{" CALL ",\"com.example.trace\":null}", NULL },
};

START_TEST(envelopes_are_read)
{
	const char *text = envelopes[_i].text, *flags = envelopes[_i].flags;
	struct varlink_envelope envelope, untouched;
	json_t *message;
	char read[8];
	int r;

	memset(&envelope, 0x5a, sizeof(envelope));
	memcpy(&untouched, &envelope, sizeof(envelope));
	ck_assert_int_eq(varlink_message_parse(text, strlen(text), &message), 0);
	r = varlink_envelope_read(message, &envelope);
	ck_assert_msg(r == (flags ? 0 : -EBADMSG), "'%s': %d", text, r);
	if (flags) {
		(void)snprintf(read, sizeof(read), "%s%s%s%s", envelope.oneway ? "o" : "", envelope.more ? "m" : "",
			       envelope.upgrade ? "u" : "", envelope.parameters ? "p" : "");
		ck_assert_str_eq(read, flags);
		ck_assert_str_eq(envelope.method, json_string_value(json_object_get(message, "method")));
	} else {
		ck_assert_mem_eq(&envelope, &untouched, sizeof(envelope));
	}
	json_decref(message);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(messages_are_objects, ELEMENTSOF(texts)),
		UNIT_TEST(what_is_beyond_is_no_value),
		UNIT_TEST(cut_messages_are_none),
		UNIT_LOOP(levels_are_counted, 4),
		UNIT_TEST(breadth_is_not_depth),
		UNIT_LOOP(envelopes_are_read, ELEMENTSOF(envelopes)),
		{ 0 },
	};

	return unit_run("envelope", tests, &(struct unit_around){ .seconds = 60 });
}
