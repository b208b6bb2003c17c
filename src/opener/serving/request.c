/* SPDX-License-Identifier: MIT
 *
 * Requests of porterd: a table of operations, and strict checks before any of them is reached.
 */
#include "opener/serving/request.h"

#include "base/clock.h"
#include "opener/serving/audit.h"
#include "opener/deciding/decide.h"
#include "opener/opening/examine.h"
#include "opener/opening/open.h"

#define REASON_UNKNOWN "the policy has no such file"
#define REASON_UNRECORDED "the journal takes no records, without which it may not be opened"
#define REASON_ANOTHER "another file of the same request was refused"

struct operation {
	uint32_t count_min, count_max;
	enum opener_result over_max;
	bool has_cursor;
	void (*serve)(struct request *request);
};

static void answer(struct response *response, enum opener_result result, const char *reason)
{
	size_t size = strlen(reason);

	response->header.result = result;
	response->header.text_size = (uint32_t)MIN_OF(size, sizeof(response->text));
	memcpy(response->text, reason, response->header.text_size);
}

/* By name and policy alone. */
static enum opener_result decide_file(const struct request *request, const char *label, struct request_file *file)
{
	struct decision decision;

	opened_init(&file->opened);
	file->recorded = false;
	file->grant = policy_find(request->service->policy, label);
	if (!file->grant) {
		file->reason = REASON_UNKNOWN;
		return file->opened.result = OPENER_UNKNOWN_FILE;
	}
	decision = decide(file->grant, &request->client->identity, request->client->alive);
	file->reason = decision.reason;
	return file->opened.result = decision.permitted ? OPENER_OK : OPENER_NOT_PERMITTED;
}

static bool is_repeated(const struct request *request, uint32_t index)
{
	const char *label = request->labels[index];

	/* Most differ in what a word holds, and there may be thousands of pairs. */
	for (uint32_t i = 0; i < index; i++)
		if (memcmp(request->labels[i], label, sizeof(uint64_t)) == 0 && strcmp(request->labels[i], label) == 0)
			return true;
	return false;
}

static struct audit_entry audit_entry_of(const struct request *request, uint32_t index, const struct request_file *file,
					 bool granted)
{
	return (struct audit_entry){
		.file = request->labels[index],
		.grant = file->grant,
		.client = &request->client->identity,
		.opened = &file->opened,
		.granted = granted,
		.reason = file->reason,
	};
}

/* One small request must not fill the journal: a name that it repeats is counted, and recorded once, but for
 * the one that the answer is about. */
static bool is_to_be_recorded(const struct request *request, uint32_t index)
{
	return request->refused == index || !is_repeated(request, index);
}

static void record_granted(struct request *request, uint32_t index, const struct request_file *file)
{
	struct request_service *service = request->service;
	struct audit_entry entry = audit_entry_of(request, index, file, true);

	service->granted++;
	if (!file->recorded && is_to_be_recorded(request, index))
		audit_record(service->recorder, &entry);
}

/* Neither must many requests that nobody has granted anything to; but the journal must not keep as granted what was
 * not. */
static void record_refused(struct request *request, uint32_t index, const struct request_file *file)
{
	struct request_service *service = request->service;
	const struct identity *client = &request->client->identity;
	struct audit_entry entry = audit_entry_of(request, index, file, false);
	uint64_t now = clock_now_usec();
	struct refused_user *user = client->known & IDENTITY_CREDENTIALS
					    ? refusals_find(service->refusals, client->uid, now)
					    : &service->refusals->others;

	service->refused++;
	if (!file->recorded && (!refused_user_may_record(user, now) || !is_to_be_recorded(request, index)))
		return;
	refused_user_recorded(user, now);
	audit_record(service->recorder, &entry);
}

/* Records first what may only be granted with a record. All files are open, and nobody has them yet. Returns how
 * many are to be granted: all, or those before the first that found no room in the journal, whose records say so
 * although none is granted then; what follows says that, or is counted as dropped. */
static uint32_t record_required(const struct request *request, struct request_file *files)
{
	uint32_t count = request->header.count;

	for (uint32_t i = 0; i < count; i++) {
		struct audit_entry entry = audit_entry_of(request, i, &files[i], true);

		if (!files[i].grant->audit_required || is_repeated(request, i))
			continue;
		if (!audit_try(request->service->recorder, &entry)) {
			request->service->unrecorded++;
			files[i].opened.result = OPENER_BUSY;
			files[i].reason = REASON_UNRECORDED;
			return i;
		}
		files[i].recorded = true;
	}
	return count;
}

/* Refuses the whole request, and with it each file that it would have opened. */
static void refuse_all(struct request *request, enum opener_result result, const char *reason)
{
	answer(request->response, result, reason);
	for (uint32_t i = 0; request->header.operation == OPENER_OPEN && i < request->header.count; i++) {
		struct request_file file = {
			.grant = policy_find(request->service->policy, request->labels[i]),
			.reason = reason,
		};

		record_refused(request, i, &file);
	}
}

/* The copy of the same file that this request has made already, NULL if there is none. */
static const struct request_file *find_copy(const struct request_file *files, uint32_t index)
{
	for (uint32_t i = 0; files[index].grant->copy && i < index; i++)
		if (files[i].grant == files[index].grant)
			return &files[i];
	return NULL;
}

/* Copies are memory of ours that the client decides how long to keep, and a name that is asked for 253 times
 * is no reason to make 253 of them. */
static enum opener_result open_file(struct request *request, struct request_file *files, uint32_t index,
				    size_t *copied)
{
	struct opened *opened = &files[index].opened;
	const struct request_file *first = find_copy(files, index);
	int r;

	if (first)
		return open_copy_again(&first->opened, opened);
	if (open_grant(files[index].grant, &request->client->identity, &request->places, opened) != OPENER_OK)
		return opened->result;
	*copied += opened->copied;
	if (*copied > OPEN_COPIES_MAX)
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "the copies of one request may not have more "
				     "than %zu bytes together", OPEN_COPIES_MAX);
	if (files[index].grant->copy) {
		r = copies_add(request->service->copies, request->client->identity.uid, opened->fd, opened->copied);
		if (r == -EDQUOT)
			return opened_refuse(opened, OPENER_BUSY, "copies that were given out before are still open");
		if (r < 0)
			return opened_refuse(opened, OPENER_BUSY, "its copy can't be watched: %s", strerror(-r));
	}
	return OPENER_OK;
}

/* Decides on all before any is opened; then opens one after the other. Returns how many went well before the
 * first refusal, or all. */
static uint32_t try_all(struct request *request, struct request_file *files)
{
	uint32_t count = request->header.count, first_refused = count;
	size_t copied = 0;

	for (uint32_t i = count; i > 0; i--)
		if (decide_file(request, request->labels[i - 1], &files[i - 1]) != OPENER_OK)
			first_refused = i - 1;

	for (uint32_t i = 0; first_refused == count && i < count; i++)
		if (open_file(request, files, i, &copied) != OPENER_OK) {
			files[i].reason = files[i].opened.reason;
			first_refused = i;
		}
	return first_refused;
}

static void serve_open(struct request *request)
{
	uint32_t count = request->header.count, refused;
	struct response *response = request->response;
	struct request_file *files = request->files;

	refused = try_all(request, files);
	if (refused == count)
		refused = record_required(request, files);
	if (refused < count) {
		answer(response, files[refused].opened.result, files[refused].reason);
		response->header.index = refused;
	} else {
		answer(response, OPENER_OK, "");
		response->header.count = count;
		for (uint32_t i = 0; i < count; i++)
			(void)fdset_add(&response->fds, TAKE_FD(files[i].opened.fd));
	}
	request->refused = refused;
	request->n_files = count;
}

static void finish_open(struct request *request)
{
	bool granted = request->refused == request->n_files;

	record_hold(request->service->recorder);
	for (uint32_t i = 0; i < request->n_files; i++) {
		struct request_file *file = &request->files[i];

		if (!granted && file->opened.result == OPENER_OK)
			file->reason = REASON_ANOTHER;
		opened_clear(&file->opened);
		if (granted)
			record_granted(request, i, file);
		else
			record_refused(request, i, file);
	}
	record_release(request->service->recorder);
}

static void serve_check(struct request *request)
{
	struct request_file file;

	if (decide_file(request, request->labels[0], &file) == OPENER_OK &&
	    open_check(file.grant, &request->client->identity, &request->places, &file.opened) != OPENER_OK)
		file.reason = file.opened.reason;
	answer(request->response, file.opened.result, file.reason);
}

/* Appends strings with their NULs to the response's text, all or none. */
static bool append_strings(struct response *response, const char *const *strings, size_t n_strings)
{
	size_t size = 0, at = response->header.text_size;

	for (size_t i = 0; i < n_strings; i++)
		size += strlen(strings[i]) + 1;
	if (size > sizeof(response->text) - at)
		return false;

	for (size_t i = 0; i < n_strings; i++) {
		size_t length = strlen(strings[i]) + 1;

		memcpy(response->text + at, strings[i], length);
		at += length;
	}
	response->header.text_size = (uint32_t)at;
	return true;
}

/* The cursor is the place in the sorted policy; after a reload the rest of the list may be another policy's. */
static void serve_list(struct request *request)
{
	const struct policy *policy = request->service->policy;
	struct response *response = request->response;

	answer(response, OPENER_OK, "");
	for (size_t i = request->header.cursor; i < policy->n_grants; i++) {
		const struct grant *grant = &policy->grants[i];
		const char *strings[3];

		if (!decide(grant, &request->client->identity, request->client->alive).permitted)
			continue;
		strings[0] = grant->name;
		strings[1] = grant->description ? grant->description : "";
		strings[2] = grant_access_words[grant->access];
		if (!append_strings(response, strings, ELEMENTSOF(strings))) {
			response->header.cursor = (uint32_t)i;
			return;
		}
		response->header.count++;
	}
}

static const struct operation operations[] = {
	[OPENER_OPEN] = { 1, OPENER_FILES_MAX, OPENER_TOO_MANY_FILES, false, serve_open },
	[OPENER_CHECK] = { 1, 1, OPENER_BAD_REQUEST, false, serve_check },
	[OPENER_LIST] = { 0, 0, OPENER_BAD_REQUEST, true, serve_list },
};

/* A label is text and NULs after it. One that is not could only come from a porterd that is broken. */
static bool label_is_padded(const char label[OPENER_LABEL_SIZE])
{
	static const char padding[OPENER_LABEL_SIZE];
	size_t length = strnlen(label, OPENER_LABEL_SIZE);

	return length < OPENER_LABEL_SIZE && memcmp(label + length, padding, OPENER_LABEL_SIZE - length) == 0;
}

/* The operation of a request that may be served; otherwise NULL, and the answer is given. */
static const struct operation *check_request(struct request *request, size_t size, const struct fdset *fds)
{
	const struct opener_request *header = &request->header;
	const struct operation *operation = NULL;

	if (header->operation < ELEMENTSOF(operations) && operations[header->operation].serve)
		operation = &operations[header->operation];
	if (header->version != OPENER_WIRE_VERSION || !operation || header->count < operation->count_min ||
	    (header->cursor != 0 && !operation->has_cursor)) {
		answer(request->response, OPENER_BAD_REQUEST, "the request's header is wrong");
		return NULL;
	}
	if (fds->count != 1) {
		answer(request->response, OPENER_BAD_REQUEST, "the request came without exactly one descriptor");
		return NULL;
	}
	if (header->count > operation->count_max) {
		answer(request->response, operation->over_max, "more files than one request may have");
		return NULL;
	}
	if (size != sizeof(*header) + (size_t)header->count * OPENER_LABEL_SIZE) {
		answer(request->response, OPENER_BAD_REQUEST, "the request's size is wrong");
		return NULL;
	}
	for (uint32_t i = 0; i < header->count; i++)
		if (!label_is_padded(request->labels[i])) {
			answer(request->response, OPENER_BAD_REQUEST, "a label is not padded with NULs");
			return NULL;
		}
	return operation;
}

static void serve(struct request *request, size_t size, const struct fdset *fds)
{
	const struct operation *operation = check_request(request, size, fds);
	enum opener_result result;
	const char *reason;

	if (!operation)
		return;

	result = clients_read(request->service->clients, fds->fds[0], &request->service->asker,
			      request->service->sockets, &request->client, &reason);
	if (result == OPENER_OK)
		operation->serve(request);
	else if (result == OPENER_BAD_REQUEST)
		answer(request->response, result, reason);
	else
		refuse_all(request, result, reason);
}

/* What can be answered to a packet that was not received as a whole. With the serial, where there is one: its
 * sender waits for nothing else. */
static void answer_lost(const void *packet, ssize_t size, struct opener_request *header, struct response *ret)
{
	memcpy(header, packet, sizeof(*header));
	if (header->version != OPENER_WIRE_VERSION)
		*header = (struct opener_request){ 0 };
	if (size == -EMFILE)
		answer(ret, OPENER_BUSY, "out of descriptors");
	else
		answer(ret, OPENER_BAD_REQUEST, "the request is too long, or more than descriptors came with it");
}

void request_serve(struct request *request, struct request_service *service, const void *packet, ssize_t size,
		   struct fdset *fds, struct response *ret)
{
	struct opener_request *header = &request->header;

	request->service = service;
	request->labels = (const char (*)[OPENER_LABEL_SIZE])((const char *)packet + sizeof(*header));
	request->response = ret;
	request->fds = fds;
	request->n_files = 0;
	request->refused = 0;
	*header = (struct opener_request){ 0 };
	service->requests++;
	memset(&ret->header, 0, sizeof(ret->header));
	fdset_init(&ret->fds);
	places_init(&request->places, &service->mount);

	if (size >= (ssize_t)sizeof(*header)) {
		memcpy(header, packet, sizeof(*header));
		serve(request, (size_t)size, fds);
	} else if (size >= 0) {
		answer(ret, OPENER_BAD_REQUEST, "the request is too short");
	} else {
		answer_lost(packet, size, header, ret);
	}

	ret->header.version = OPENER_WIRE_VERSION;
	ret->header.operation = header->operation;
	ret->header.serial = header->serial;
}

void request_withdraw(struct request *request, const char *reason)
{
	if (request->n_files == 0 || request->refused < request->n_files)
		return;
	request->refused = 0;
	request->files[0].opened.result = OPENER_BUSY;
	request->files[0].reason = reason;
}

void request_finish(struct request *request)
{
	finish_open(request);
	/* Their numbers follow one another by turns. */
	fdset_clear_both(&request->places.pins, &request->response->fds);
	places_clear(&request->places);
	fdset_clear(request->fds);
}
