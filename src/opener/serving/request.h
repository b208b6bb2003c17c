/* SPDX-License-Identifier: MIT
 *
 * Requests of porterd (base/opener_wire.h): one packet in, one packet out.
 */
#pragma once

#include "opener/serving/handout.h"
#include "opener/serving/service.h"

/* The largest packet that can be a request. */
#define REQUEST_SIZE_MAX (sizeof(struct opener_request) + (size_t)OPENER_FILES_MAX * OPENER_LABEL_SIZE)

struct response {
	struct opener_reply header;
	char text[OPENER_TEXT_MAX]; /* header.text_size of it */
	struct fdset fds;	    /* owned */
};

/* A request from its packet to its records. Large; only what it needs is touched. */
struct request {
	struct opener_request header;
	struct fdset *fds; /* what came along */
	struct response *response;
	struct handout handout;
};

/* Serves the packet of `size` bytes that came with `fds`. A packet that could not be received as a whole has -EMFILE
 * as `size` (its descriptor found no room in this process) or -EBADMSG; then at least a header's bytes of `packet` are
 * valid, or zero. The answer is complete in any case. */
void request_serve(struct request *request, struct request_service *service, const void *packet, ssize_t size,
		   struct fdset *fds, struct response *ret);

/* The files of its answer could not be sent after all, so none of them is granted. Before what follows. */
void request_withdraw(struct request *request, const char *reason);

/* What its sender need not wait for: makes the records, but for those without which nothing is granted, and closes
 * `fds`, all that was opened on the way, and what the answer still has. To be called after each request_serve(), with
 * the answer sent or its descriptors moved, and with packet and fds still there. */
void request_finish(struct request *request);
