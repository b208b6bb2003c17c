/* SPDX-License-Identifier: MIT
 *
 * Conversations with a service of methods that answer in every way there is.
 */
#include "varlink/dispatch.h"

#include <fcntl.h>
#include <stdint.h>

#include "tests/base/unit.h"

#define DESCRIPTION "# A service for tests.\ninterface org.example.Test\n"

/* --- the transport: keeps replies as text --- */

struct transport {
	struct varlink_call call;
	char said[16384];
	struct fdset fds;
	size_t n_given; /* replies that brought a set */
	int failure;	/* what it answers instead of taking a reply */
	struct varlink_known *keep; /* where the next call is kept that is answered */
	bool kept;
};

static int take_reply(struct varlink_call *call, json_t *reply, struct fdset *fds)
{
	struct transport *transport = CONTAINER_OF(call, struct transport, call);
	size_t used = strlen(transport->said);
	char *text;

	if (transport->failure < 0)
		return transport->failure;

	if (transport->keep)
		transport->kept = varlink_known_keep(TAKE_POINTER(transport->keep), call);
	text = json_dumps(reply, JSON_COMPACT);
	(void)snprintf(transport->said + used, sizeof(transport->said) - used, "%s%s", used ? "|" : "", text);
	free(text);
	if (fds) {
		ck_assert_uint_gt(fds->count, 0);
		transport->n_given++;
		fdset_move(&transport->fds, fds);
	}
	return 0;
}

/* --- the service --- */

static int run_echo(struct varlink_call *call)
{
	json_t *words = varlink_call_parameter(call, "words");
	const char *note = varlink_call_string(call, "note");

	return varlink_reply(call, json_pack("{s:s,s:O?,s:s?}", "text", varlink_call_string(call, "text"), "words",
					     words, "note", note));
}

static int run_nothing(struct varlink_call *call)
{
	return varlink_reply(call, json_object());
}

static int run_count(struct varlink_call *call)
{
	int r = varlink_reply_continues(call, json_pack("{s:i}", "n", 1));

	if (r == -EINVAL)
		return varlink_reply_error(call, "org.varlink.service.ExpectedMore", NULL);
	if (r >= 0)
		r = varlink_reply_continues(call, json_object());
	return r < 0 ? r : varlink_reply(call, json_pack("{s:i}", "n", 3));
}

static int run_later(struct varlink_call *call)
{
	(void)call;
	return 0;
}

static int run_files(struct varlink_call *call)
{
	struct fdset fds;

	fdset_init(&fds);
	for (int i = 0; i < 3; i++)
		(void)fdset_add(&fds, open("/dev/null", O_RDONLY | O_CLOEXEC));
	return varlink_reply_fds(call, json_pack("{s:[i,i,i]}", "descriptors", 0, 1, 2), &fds);
}

static int run_no_files(struct varlink_call *call)
{
	struct fdset fds;

	fdset_init(&fds);
	return varlink_reply_fds(call, json_pack("{s:[]}", "descriptors"), &fds);
}

/* Files are there, but no memory for the reply. */
static int run_lost_files(struct varlink_call *call)
{
	struct fdset fds;

	fdset_init(&fds);
	(void)fdset_add(&fds, open("/dev/null", O_RDONLY | O_CLOEXEC));
	return varlink_reply_fds(call, NULL, &fds);
}

static int run_fail(struct varlink_call *call)
{
	return varlink_reply_error(call, "org.example.Test.Failed", json_pack("{s:s}", "why", "because"));
}

static int run_fail_barely(struct varlink_call *call)
{
	return varlink_reply_error(call, "org.example.Test.Failed", NULL);
}

static int run_range(struct varlink_call *call)
{
	return varlink_reply_invalid_parameter(call, "text");
}

static int run_out_of_memory(struct varlink_call *call)
{
	return varlink_reply(call, NULL);
}

static const struct varlink_parameter echo_parameters[] = {
	{ "text", VARLINK_STRING, false },
	{ "words", VARLINK_STRINGS, true },
	{ "note", VARLINK_STRING, true },
	{ 0 },
};
static const struct varlink_parameter words_parameters[] = { { "words", VARLINK_STRINGS, false }, { 0 } };

static const struct varlink_interface test_interface = {
	.name = "org.example.Test",
	.description = DESCRIPTION,
	.methods =
		(const struct varlink_method[]){
			{ "Echo", echo_parameters, run_echo },
			{ "Words", words_parameters, run_nothing },
			{ "Nothing", NULL, run_nothing },
			{ "Count", NULL, run_count },
			{ "Later", NULL, run_later },
			{ "Files", NULL, run_files },
			{ "NoFiles", NULL, run_no_files },
			{ "LostFiles", NULL, run_lost_files },
			{ "Fail", NULL, run_fail },
			{ "FailBarely", NULL, run_fail_barely },
			{ "Range", NULL, run_range },
			{ "OutOfMemory", NULL, run_out_of_memory },
			{ 0 },
		},
};

static const struct varlink_interface *const interfaces[] = { &varlink_service_interface, &test_interface, NULL };
static const struct varlink_service service = {
	.vendor = "a vendor",
	.product = "a \"product\"",
	.version = "1",
	.url = "https://example.org/",
	.interfaces = interfaces,
};

static struct transport *transport_new(void)
{
	struct transport *transport = calloc(1, sizeof(*transport));

	transport->call.service = &service;
	transport->call.reply = take_reply;
	fdset_init(&transport->fds);
	return transport;
}

static void transport_free(struct transport *transport)
{
	varlink_call_abandon(&transport->call);
	fdset_clear(&transport->fds);
	free(transport);
}

static int say(struct transport *transport, const char *text)
{
	return varlink_dispatch(&transport->call, text, strlen(text));
}

/* A call that is over leaves nothing behind. */
static void assert_over(const struct transport *transport)
{
	ck_assert(!transport->call.pending);
	ck_assert_ptr_null(transport->call.message);
	ck_assert_ptr_null(transport->call.envelope.method);
	ck_assert_ptr_null(transport->call.envelope.parameters);
}

/* --- conversations --- */

#define TEST(method) "\"method\":\"org.example.Test." method "\""
#define SERVICE(method) "\"method\":\"org.varlink.service." method "\""
#define INVALID(parameter) \
	"{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"" parameter "\"}}"
#define ERROR(error, key, value) \
	"{\"error\":\"org.varlink.service." error "\",\"parameters\":{\"" key "\":\"" value "\"}}"

static const struct {
	const char *request, *reply;
	int result;
} conversations[] = {
	/* What a service tells about itself. */
	{ "{" SERVICE("GetInfo") "}",
	  "{\"parameters\":{\"vendor\":\"a vendor\",\"product\":\"a \\\"product\\\"\",\"version\":\"1\",\"url\":"
	  "\"https://example.org/\",\"interfaces\":[\"org.varlink.service\",\"org.example.Test\"]}}", 0 },
	{ "{" SERVICE("GetInfo") ",\"parameters\":{\"x\":1}}", INVALID("x"), 0 },
	{ "{" SERVICE("GetInterfaceDescription") ",\"parameters\":{\"interface\":\"org.example.Test\"}}",
	  "{\"parameters\":{\"description\":\"# A service for tests.\\ninterface org.example.Test\\n\"}}", 0 },
	{ "{" SERVICE("GetInterfaceDescription") ",\"parameters\":{\"interface\":\"org.example.Tes\"}}",
	  ERROR("InterfaceNotFound", "interface", "org.example.Tes"), 0 },
	{ "{" SERVICE("GetInterfaceDescription") ",\"parameters\":{\"interface\":\"\"}}",
	  ERROR("InterfaceNotFound", "interface", ""), 0 },
	{ "{" SERVICE("GetInterfaceDescription") "}", INVALID("interface"), 0 },

	/* What is not there. */
	{ "{\"method\":\"org.example.None.Echo\"}", ERROR("InterfaceNotFound", "interface", "org.example.None"), 0 },
	{ "{\"method\":\"org.example.Test.Sub.Echo\"}",
	  ERROR("InterfaceNotFound", "interface", "org.example.Test.Sub"), 0 },
	{ "{\"method\":\"org.example.test.Echo\"}", ERROR("InterfaceNotFound", "interface", "org.example.test"), 0 },
	{ "{\"method\":\"Echo\"}", ERROR("InterfaceNotFound", "interface", "Echo"), 0 },
	{ "{\"method\":\"\"}", ERROR("InterfaceNotFound", "interface", ""), 0 },
	{ "{\"method\":\".\"}", ERROR("InterfaceNotFound", "interface", ""), 0 },
	{ "{\"method\":\".Echo\"}", ERROR("InterfaceNotFound", "interface", ""), 0 },
	{ "{\"method\":\"\\u00e4.Echo\"}", ERROR("InterfaceNotFound", "interface", "\xc3\xa4"), 0 },
	{ "{\"method\":\"org.example.Test.\"}", ERROR("MethodNotFound", "method", "org.example.Test."), 0 },
	{ "{\"method\":\"org.example.Test.echo\"}", ERROR("MethodNotFound", "method", "org.example.Test.echo"), 0 },
	{ "{\"method\":\"org.example.Test.Echoes\"}", ERROR("MethodNotFound", "method", "org.example.Test.Echoes"), 0 },
	/* An interface's name is no method of it. */
	{ "{\"method\":\"org.example.Test\"}", ERROR("InterfaceNotFound", "interface", "org.example"), 0 },

	/* Parameters. */
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\"}}",
	  "{\"parameters\":{\"text\":\"a\",\"words\":null,\"note\":null}}", 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"\",\"words\":null,\"note\":null}}",
	  "{\"parameters\":{\"text\":\"\",\"words\":null,\"note\":null}}", 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"note\":\"n\",\"words\":[],\"text\":\"a\"}}",
	  "{\"parameters\":{\"text\":\"a\",\"words\":[],\"note\":\"n\"}}", 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"words\":[\"x\",\"y\"]}}",
	  "{\"parameters\":{\"text\":\"a\",\"words\":[\"x\",\"y\"],\"note\":null}}", 0 },
	{ "{" TEST("Echo") "}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":null}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{}}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":null}}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"note\":\"n\"}}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":1}}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":[\"a\"]}}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":{}}}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":true}}", INVALID("text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"note\":1}}", INVALID("note"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"words\":\"x\"}}", INVALID("words"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"words\":{}}}", INVALID("words"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"words\":[\"x\",1]}}", INVALID("words"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"words\":[null]}}", INVALID("words"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"words\":[[]]}}", INVALID("words"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"Text\":\"a\"}}", INVALID("Text"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"x\":null}}", INVALID("x"), 0 },
	{ "{" TEST("Echo") ",\"parameters\":{\"text\":\"a\",\"\":1}}", INVALID(""), 0 },
	{ "{" TEST("Words") "}", INVALID("words"), 0 },
	{ "{" TEST("Words") ",\"parameters\":{\"words\":null}}", INVALID("words"), 0 },
	{ "{" TEST("Words") ",\"parameters\":{\"words\":[]}}", "{}", 0 },
	{ "{" TEST("Nothing") ",\"parameters\":{\"x\":null}}", INVALID("x"), 0 },
	{ "{" TEST("Range") "}", INVALID("text"), 0 },

	/* Replies, and calls that want none. */
	{ "{" TEST("Nothing") "}", "{}", 0 },
	{ "{" TEST("Nothing") ",\"org.example.extension\":{\"x\":1}}", "{}", 0 },
	{ "{" TEST("Nothing") ",\"more\":true}", "{}", 0 },
	{ "{" TEST("Fail") "}", "{\"error\":\"org.example.Test.Failed\",\"parameters\":{\"why\":\"because\"}}", 0 },
	{ "{" TEST("FailBarely") "}", "{\"error\":\"org.example.Test.Failed\"}", 0 },
	{ "{" TEST("Nothing") ",\"oneway\":true}", "", 0 },
	{ "{" TEST("Fail") ",\"oneway\":true}", "", 0 },
	{ "{" TEST("Echo") ",\"oneway\":true}", "", 0 },
	{ "{" TEST("None") ",\"oneway\":true}", "", 0 },
	{ "{\"method\":\"org.example.None.Echo\",\"oneway\":true}", "", 0 },
	{ "{" SERVICE("GetInfo") ",\"oneway\":true}", "", 0 },
	{ "{" TEST("OutOfMemory") "}", "", -ENOMEM },
	{ "{" TEST("OutOfMemory") ",\"oneway\":true}", "", 0 },

	/* More replies than one. */
	{ "{" TEST("Count") ",\"more\":true}",
	  "{\"parameters\":{\"n\":1},\"continues\":true}|{\"continues\":true}|{\"parameters\":{\"n\":3}}", 0 },
	{ "{" TEST("Count") "}", "{\"error\":\"org.varlink.service.ExpectedMore\"}", 0 },
	{ "{" TEST("Count") ",\"more\":false}", "{\"error\":\"org.varlink.service.ExpectedMore\"}", 0 },
	{ "{" TEST("Count") ",\"oneway\":true}", "", 0 },

	/* There is nothing to upgrade to; what is wrong for another reason says that reason. */
	{ "{" TEST("Nothing") ",\"upgrade\":true}",
	  ERROR("MethodNotImplemented", "method", "org.example.Test.Nothing"), 0 },
	{ "{" SERVICE("GetInfo") ",\"upgrade\":true}",
	  ERROR("MethodNotImplemented", "method", "org.varlink.service.GetInfo"), 0 },
	{ "{" TEST("None") ",\"upgrade\":true}", ERROR("MethodNotFound", "method", "org.example.Test.None"), 0 },

	/* No calls: no reply, whatever they wanted to be. */
	{ "", "", -EBADMSG },
	{ "{}", "", -EBADMSG },
	{ "{" TEST("Nothing"), "", -EBADMSG },
	{ "{" TEST("Nothing") ",\"parameters\":[]}", "", -EBADMSG },
	{ "{" TEST("Nothing") ",\"oneway\":true,\"more\":true}", "", -EBADMSG },
	{ "{" TEST("Nothing") ",\"x\":1}", "", -EBADMSG },
};

START_TEST(calls_are_answered)
{
	struct transport *transport = transport_new();

	ck_assert_int_eq(say(transport, conversations[_i].request), conversations[_i].result);
	ck_assert_str_eq(transport->said, conversations[_i].reply);
	assert_over(transport);

	/* Whatever it was, the next call is served. */
	transport->said[0] = '\0';
	ck_assert_int_eq(say(transport, "{" TEST("Nothing") "}"), 0);
	ck_assert_str_eq(transport->said, "{}");
	assert_over(transport);
	transport_free(transport);
}
END_TEST

/* The description is the text that people read in the source, comments and all. */
START_TEST(the_description_is_the_file)
{
	const char *top = getenv("TOP_SRCDIR");
	_cleanup_(cleanup_file) FILE *file = NULL;
	char path[4096], text[16384];
	size_t size;

	(void)snprintf(path, sizeof(path), "%s/src/varlink/org.varlink.service.varlink", top ? top : ".");
	file = fopen(path, "re");
	ck_assert_msg(file != NULL, "can't read %s", path);
	size = fread(text, 1, sizeof(text) - 1, file);
	ck_assert_uint_gt(size, 100);
	text[size] = '\0';
	ck_assert_str_eq(varlink_service_interface.description, text);
}
END_TEST

/* --- calls that take their time --- */

START_TEST(a_pending_call_is_answered_later)
{
	struct transport *transport = transport_new();

	ck_assert_int_eq(say(transport, "{" TEST("Later") ",\"more\":true}"), 0);
	ck_assert(transport->call.pending);
	ck_assert_str_eq(transport->call.envelope.method, "org.example.Test.Later");
	ck_assert_str_eq(transport->said, "");
	ck_assert_int_eq(varlink_reply_continues(&transport->call, json_pack("{s:i}", "n", 1)), 0);
	ck_assert(transport->call.pending);
	ck_assert_int_eq(varlink_reply(&transport->call, json_pack("{s:i}", "n", 2)), 0);
	ck_assert_str_eq(transport->said, "{\"parameters\":{\"n\":1},\"continues\":true}|{\"parameters\":{\"n\":2}}");
	assert_over(transport);

	transport->said[0] = '\0';
	ck_assert_int_eq(say(transport, "{" TEST("Later") ",\"oneway\":true}"), 0);
	ck_assert(transport->call.pending);
	ck_assert_int_eq(varlink_reply_error(&transport->call, "org.example.Test.Failed", NULL), 0);
	ck_assert_str_eq(transport->said, "");
	assert_over(transport);
	transport_free(transport);
}
END_TEST

START_TEST(a_pending_call_may_be_abandoned)
{
	struct transport *transport = transport_new();

	ck_assert_int_eq(say(transport, "{" TEST("Later") "}"), 0);
	varlink_call_abandon(&transport->call);
	assert_over(transport);
	varlink_call_abandon(&transport->call);
	ck_assert_str_eq(transport->said, "");
	ck_assert_int_eq(say(transport, "{" TEST("Nothing") "}"), 0);
	ck_assert_str_eq(transport->said, "{}");
	transport_free(transport);
}
END_TEST

/* --- calls that come again --- */

START_TEST(a_known_call_is_answered_again)
{
	struct transport *transport = transport_new();
	char first[sizeof(transport->said)];
	struct varlink_known known;

	transport->keep = &known;
	ck_assert_int_eq(say(transport, "{" TEST("Echo") ",\"more\":true,\"parameters\":{\"text\":\"a\"}}"), 0);
	ck_assert(transport->kept);
	memcpy(first, transport->said, sizeof(first));
	for (int i = 0; i < 2; i++) {
		/* Whatever was said in between. */
		transport->said[0] = '\0';
		ck_assert_int_eq(say(transport, "{" TEST("Nothing") "}"), 0);
		transport->said[0] = '\0';
		ck_assert_int_eq(varlink_dispatch_known(&transport->call, &known), 0);
		ck_assert_str_eq(transport->said, first);
		assert_over(transport);
	}
	varlink_known_clear(&known);
	varlink_known_clear(&known);

	/* Where no method was run there is none to be run again. */
	transport->keep = &known;
	ck_assert_int_eq(say(transport, "{" TEST("Missing") "}"), 0);
	ck_assert(!transport->kept);
	transport->keep = &known;
	ck_assert_int_eq(say(transport, "{" TEST("Echo") ",\"parameters\":{\"text\":1}}"), 0);
	ck_assert(!transport->kept);
	transport_free(transport);
}
END_TEST

/* --- descriptors --- */

START_TEST(descriptors_change_hands)
{
	size_t before = unit_count_fds();
	struct transport *transport = transport_new();

	ck_assert_int_eq(say(transport, "{" TEST("Files") "}"), 0);
	ck_assert_str_eq(transport->said, "{\"parameters\":{\"descriptors\":[0,1,2]}}");
	ck_assert_uint_eq(transport->n_given, 1);
	ck_assert_uint_eq(transport->fds.count, 3);
	ck_assert_uint_eq(unit_count_fds(), before + 3);
	fdset_clear(&transport->fds);
	ck_assert_uint_eq(unit_count_fds(), before);

	/* A set of none is no set. */
	ck_assert_int_eq(say(transport, "{" TEST("NoFiles") "}"), 0);
	ck_assert_uint_eq(transport->n_given, 1);
	transport_free(transport);
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(descriptors_without_a_taker_are_closed)
{
	size_t before = unit_count_fds();
	struct transport *transport = transport_new();

	ck_assert_int_eq(say(transport, "{" TEST("Files") ",\"oneway\":true}"), 0);
	ck_assert_str_eq(transport->said, "");
	ck_assert_uint_eq(unit_count_fds(), before);

	ck_assert_int_eq(say(transport, "{" TEST("LostFiles") "}"), -ENOMEM);
	ck_assert_uint_eq(unit_count_fds(), before);

	transport->failure = -ECONNRESET;
	ck_assert_int_eq(say(transport, "{" TEST("Files") "}"), -ECONNRESET);
	ck_assert_uint_eq(unit_count_fds(), before);
	assert_over(transport);
	ck_assert_int_eq(say(transport, "{" TEST("Count") ",\"more\":true}"), -ECONNRESET);
	transport_free(transport);
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(calls_are_answered, ELEMENTSOF(conversations)),
		UNIT_TEST(the_description_is_the_file),
		UNIT_TEST(a_pending_call_is_answered_later),
		UNIT_TEST(a_pending_call_may_be_abandoned),
		UNIT_TEST(a_known_call_is_answered_again),
		UNIT_TEST(descriptors_change_hands),
		UNIT_TEST(descriptors_without_a_taker_are_closed),
		{ 0 },
	};

	return unit_run("dispatch", tests, NULL);
}
