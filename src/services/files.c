/* SPDX-License-Identifier: MIT
 *
 * io.porterd.Files: asks the opener on behalf of the caller. Nothing is decided here.
 */
#include "services/caller.h"
#include "services/protocols.h"

static const char description[] =
#include "services/io.porterd.Files.varlink.inc"
	;

static int reply_unavailable(struct varlink_call *call)
{
	return varlink_reply_error(call, "io.porterd.Files.OpenerUnavailable", NULL);
}

static int reply_busy(struct varlink_call *call)
{
	return varlink_reply_error(call, "io.porterd.Files.Busy", NULL);
}

/* The opener has answered; reply NULL: it can't. */
static void answered(struct opener_call *opener_call, const struct opener_reply *reply, const char *text, struct fdset *fds)
{
	struct varlink_call *call = opener_call->userdata;
	struct caller *caller = call->caller;
	int r;

	caller_give_back_opens(caller);
	r = reply ? caller->answered(call, reply, text, fds) : reply_unavailable(call);
	/* Otherwise it has asked for more. */
	if (r < 0 || !call->pending)
		caller->resume(caller, r);
}

/* Sends the question; the call stays pending. */
static int ask(struct varlink_call *call, enum opener_operation operation, const char *const *labels, size_t count,
	       uint32_t cursor,
	       int (*handle)(struct varlink_call *, const struct opener_reply *, const char *, struct fdset *))
{
	struct caller *caller = call->caller;
	int r;

	/* Each file takes the opener's time, and others wait for it. */
	if (caller_take_opens(caller, count > 0 ? count : 1) < 0)
		return reply_busy(call);
	caller->answered = handle;
	caller->opener_call.done = answered;
	caller->opener_call.userdata = call;
	r = opener_call_start(&caller->opener_call, services_of(caller->population)->opener, operation, labels, count,
			      cursor, caller->socket_fd);
	if (r >= 0)
		return 0;
	caller_give_back_opens(caller);
	return r == -ENOMEM || r == -EBUSY ? reply_busy(call) : reply_unavailable(call);
}

/* Can it be a file's name? Longer ones fit neither the policy nor the wire. */
static bool name_fits(const char *name)
{
	return strlen(name) < OPENER_LABEL_SIZE;
}

/* The name that a reply is about: the `index`th that the call asked for. */
static const char *asked_name(const struct varlink_call *call, size_t index)
{
	const char *file = varlink_call_string(call, "file");

	return file ? file : json_string_value(json_array_get(varlink_call_parameter(call, "files"), index));
}

/* Turns a refusal into the interface's error for it. */
static int reply_refusal(struct varlink_call *call, const struct opener_reply *reply, const char *reason)
{
	static const char *const errors[] = {
		[OPENER_UNKNOWN_FILE] = "io.porterd.Files.UnknownFile",
		[OPENER_NOT_PERMITTED] = "io.porterd.Files.NotPermitted",
		[OPENER_FILE_MISSING] = "io.porterd.Files.FileMissing",
		[OPENER_WRONG_TYPE] = "io.porterd.Files.WrongType",
		[OPENER_UNSAFE_MODE] = "io.porterd.Files.UnsafeMode",
	};
	const char *name = asked_name(call, reply->index);

	if (reply->result == OPENER_BUSY)
		return reply_busy(call);
	if (reply->result == OPENER_TOO_MANY_FILES)
		return varlink_reply_error(call, "io.porterd.Files.TooManyFiles",
					   json_pack("{s:i}", "limit", OPENER_FILES_MAX));
	if (reply->result >= ELEMENTSOF(errors) || !errors[reply->result] || !name)
		return reply_unavailable(call);

	if (reply->result == OPENER_NOT_PERMITTED)
		return varlink_reply_error(call, errors[reply->result],
					   json_pack("{s:s,s:s}", "file", name, "reason", reason));
	return varlink_reply_error(call, errors[reply->result], json_pack("{s:s}", "file", name));
}

/* Open and OpenMany */

/* As on the wire: it is the same each time, and a library would take longer for it than for all else of the call. */
static int reply_descriptors(struct varlink_call *call, struct fdset *fds)
{
	static const char one[] = "{\"parameters\":{\"descriptor\":0}}", many[] = "{\"parameters\":{\"descriptors\":[";
	char text[sizeof(many) + OPENER_FILES_MAX * sizeof("253,") + sizeof("]}}")], *end = text;

	if (varlink_call_string(call, "file"))
		return varlink_reply_text(call, one, sizeof(one), fds);

	end = stpcpy(end, many);
	for (size_t i = 0; i < fds->count; i++) {
		if (i >= 100)
			*end++ = (char)('0' + i / 100);
		if (i >= 10)
			*end++ = (char)('0' + i / 10 % 10);
		*end++ = (char)('0' + i % 10);
		*end++ = ',';
	}
	end = stpcpy(end - 1, "]}}");
	return varlink_reply_text(call, text, (size_t)(end - text) + 1, fds);
}

static int opened(struct varlink_call *call, const struct opener_reply *reply, const char *text, struct fdset *fds)
{
	const struct caller *caller = call->caller;

	if (reply->result != OPENER_OK)
		return reply_refusal(call, reply, text);
	if (fds->count != caller->opener_call.request.count)
		return reply_unavailable(call);
	return reply_descriptors(call, fds);
}

/* Asks for descriptors, if there is room for them. */
static int ask_open(struct varlink_call *call, const char *const *names, size_t count)
{
	struct caller *caller = call->caller;

	if (unread_reserve(&caller->population->unread, caller->share, count) < 0)
		return reply_busy(call);
	return ask(call, OPENER_OPEN, names, count, 0, opened);
}

static int run_open(struct varlink_call *call)
{
	const char *name = varlink_call_string(call, "file");

	if (!name_fits(name))
		return varlink_reply_error(call, "io.porterd.Files.UnknownFile",
					   json_pack("{s:s}", "file", name));
	return ask_open(call, &name, 1);
}

static int run_open_many(struct varlink_call *call)
{
	const json_t *files = varlink_call_parameter(call, "files");
	const char *names[OPENER_FILES_MAX];
	size_t count = json_array_size(files);

	if (count == 0)
		return varlink_reply(call, json_pack("{s:[]}", "descriptors"));
	if (count > OPENER_FILES_MAX)
		return varlink_reply_error(call, "io.porterd.Files.TooManyFiles",
					   json_pack("{s:i}", "limit", OPENER_FILES_MAX));

	for (size_t i = 0; i < count; i++) {
		names[i] = json_string_value(json_array_get(files, i));
		if (!name_fits(names[i]))
			return varlink_reply_error(call, "io.porterd.Files.UnknownFile",
						   json_pack("{s:s}", "file", names[i]));
	}
	return ask_open(call, names, count);
}

/* Check */

static int checked(struct varlink_call *call, const struct opener_reply *reply, const char *text, struct fdset *fds)
{
	(void)fds;
	if (reply->result == OPENER_UNKNOWN_FILE || reply->result == OPENER_BUSY || reply->result == OPENER_BAD_REQUEST)
		return reply_refusal(call, reply, text);
	return varlink_reply(call, json_pack("{s:b,s:s}", "permitted", reply->result == OPENER_OK, "reason", text));
}

static int run_check(struct varlink_call *call)
{
	const char *name = varlink_call_string(call, "file");

	if (!name_fits(name))
		return varlink_reply_error(call, "io.porterd.Files.UnknownFile",
					   json_pack("{s:s}", "file", name));
	return ask(call, OPENER_CHECK, &name, 1, 0, checked);
}

/* List: page by page from the opener. */

/* The next string of a page; NULL if the page is malformed. */
static const char *next_text(const char **at, const char *end)
{
	const char *text = *at, *stop = memchr(text, '\0', (size_t)(end - text));

	if (!stop)
		return NULL;
	*at = stop + 1;
	return text;
}

static int add_page(json_t *list, const struct opener_reply *reply, const char *text)
{
	const char *end = text + reply->text_size;

	for (uint32_t i = 0; i < reply->count; i++) {
		const char *name = next_text(&text, end);
		const char *about = name ? next_text(&text, end) : NULL;
		const char *access = about ? next_text(&text, end) : NULL;

		if (!access)
			return -EBADMSG;
		if (json_array_append_new(list, json_pack("{s:s,s:s?,s:s}", "name", name, "description",
							  *about ? about : NULL, "access", access)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Replies with the whole list, or, where the call asked for more, with each file by itself. */
static int reply_list(struct varlink_call *call, json_t *list)
{
	size_t count = json_array_size(list);

	if (!call->envelope.more || count == 0)
		return varlink_reply(call, json_pack("{s:O}", "files", list));

	for (size_t i = 0; i < count; i++) {
		json_t *one = json_pack("{s:[O]}", "files", json_array_get(list, i));
		int r = i + 1 < count ? varlink_reply_continues(call, one) : varlink_reply(call, one);

		if (r < 0)
			return r;
	}
	return 0;
}

static int listed(struct varlink_call *call, const struct opener_reply *reply, const char *text, struct fdset *fds)
{
	struct caller *caller = call->caller;
	_cleanup_json_ json_t *list = TAKE_POINTER(caller->list);
	uint32_t cursor = reply->cursor;

	(void)fds;
	/* No file: the caller as such, whose socket the opener does not trust. */
	if (reply->result == OPENER_NOT_PERMITTED)
		return varlink_reply_error(call, "org.varlink.service.PermissionDenied", NULL);
	if (reply->result != OPENER_OK)
		return reply_refusal(call, reply, text);
	if (add_page(list, reply, text) < 0)
		return reply_unavailable(call);
	if (cursor == 0)
		return reply_list(call, list);
	/* A page brings the cursor forward, so this ends. */
	if (cursor <= caller->opener_call.request.cursor)
		return reply_unavailable(call);
	caller->list = TAKE_POINTER(list);
	return ask(call, OPENER_LIST, NULL, 0, cursor, listed);
}

static int run_list(struct varlink_call *call)
{
	struct caller *caller = call->caller;

	json_decref(caller->list);
	caller->list = json_array();
	return caller->list ? ask(call, OPENER_LIST, NULL, 0, 0, listed) : -ENOMEM;
}

const struct varlink_interface files_interface = {
	.name = "io.porterd.Files",
	.description = description,
	.methods =
		(const struct varlink_method[]){
			{ "List", NULL, run_list },
			{ "Check",
			  (const struct varlink_parameter[]){ { "file", VARLINK_STRING, false }, { 0 } },
			  run_check },
			{ "Open",
			  (const struct varlink_parameter[]){ { "file", VARLINK_STRING, false }, { 0 } },
			  run_open },
			{ "OpenMany",
			  (const struct varlink_parameter[]){ { "files", VARLINK_STRINGS, false }, { 0 } },
			  run_open_many },
			{ 0 },
		},
};
