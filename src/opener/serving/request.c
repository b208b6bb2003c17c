/* SPDX-License-Identifier: MIT
 *
 * Requests of porterd: a table of operations, and strict checks before any of them is reached.
 */
#include "opener/serving/request.h"

#include "opener/deciding/decide.h"

struct operation {
	uint32_t count_min, count_max;
	enum opener_result over_max;
	bool has_cursor;
	void (*serve)(struct request *request);
};

static void answer(struct response *response, enum opener_result result, const char *reason)
{
	size_t size = MIN_OF(strlen(reason), sizeof(response->text));

	response->header.result = result;
	response->header.text_size = (uint32_t)size;
	memcpy(response->text, reason, size);
}

/* Appends strings with their NULs to the text, all or none. */
static bool append_strings(struct response *response, const char *const *strings, size_t n_strings)
{
	size_t at = response->header.text_size, size = 0;

	for (size_t i = 0; i < n_strings; i++)
		size += strlen(strings[i]) + 1;
	if (size > sizeof(response->text) - at)
		return false;

	for (size_t i = 0; i < n_strings; i++)
		at = (size_t)(stpcpy(response->text + at, strings[i]) + 1 - response->text);
	response->header.text_size = (uint32_t)at;
	return true;
}

static void serve_open(struct request *request)
{
	struct handout *handout = &request->handout;
	struct response *response = request->response;
	const struct handout_file *refused;

	handout_open(handout, request->header.count);
	if (handout->granted) {
		answer(response, OPENER_OK, "");
		response->header.count = handout->count;
		handout_take(handout, &response->fds);
		return;
	}
	refused = &handout->files[handout->refused];
	answer(response, refused->opened.result, refused->reason);
	response->header.index = handout->refused;
}

static void serve_check(struct request *request)
{
	enum opener_result result = handout_check(&request->handout);

	answer(request->response, result, request->handout.files[0].reason);
}

/* The cursor is the place in the sorted policy; after a reload the rest of the list may be another policy's. */
static void serve_list(struct request *request)
{
	const struct policy *policy = request->handout.service->policy;
	const struct client *client = request->handout.client;
	struct response *response = request->response;

	answer(response, OPENER_OK, "");
	for (size_t i = request->header.cursor; i < policy->n_grants; i++) {
		const struct grant *grant = &policy->grants[i];
		const char *strings[3];

		if (!decide(grant, &client->identity, client->alive).permitted)
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
		if (!label_is_padded(request->handout.labels[i])) {
			answer(request->response, OPENER_BAD_REQUEST, "a label is not padded with NULs");
			return NULL;
		}
	return operation;
}

static void serve(struct request *request, size_t size)
{
	const struct operation *operation = check_request(request, size, request->fds);
	struct handout *handout = &request->handout;
	struct request_service *service = handout->service;
	enum opener_result result;
	const char *reason;

	if (!operation)
		return;

	result = clients_read(service->clients, request->fds->fds[0], &service->asker, service->sockets,
			      &handout->client, &reason);
	if (result == OPENER_OK) {
		operation->serve(request);
		return;
	}
	answer(request->response, result, reason);
	if (result != OPENER_BAD_REQUEST && request->header.operation == OPENER_OPEN)
		handout_refuse(handout, request->header.count, result, reason);
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

	handout_init(&request->handout, service,
		     (const char (*)[OPENER_LABEL_SIZE])((const char *)packet + sizeof(*header)));
	request->response = ret;
	request->fds = fds;
	*header = (struct opener_request){ 0 };
	memset(&ret->header, 0, sizeof(ret->header));
	fdset_init(&ret->fds);
	service->requests++;

	if (size >= (ssize_t)sizeof(*header)) {
		memcpy(header, packet, sizeof(*header));
		serve(request, (size_t)size);
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
	handout_withdraw(&request->handout, reason);
}

void request_finish(struct request *request)
{
	struct places *places = &request->handout.places;

	handout_finish(&request->handout);
	/* Their numbers follow one another by turns. */
	fdset_clear_both(&places->pins, &request->response->fds);
	places_clear(places);
	fdset_clear(request->fds);
}
