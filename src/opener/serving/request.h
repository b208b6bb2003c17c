/* SPDX-License-Identifier: MIT
 *
 * Requests of porterd (base/opener_wire.h): one packet in, one packet out.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/opener_wire.h"
#include "kernel/fdset.h"
#include "opener/deciding/clients.h"
#include "opener/opening/copies.h"
#include "opener/opening/open.h"
#include "opener/opening/places.h"
#include "opener/policy/policy.h"
#include "opener/serving/refusals.h"
#include "record/record.h"

/* The largest packet that can be a request. */
#define REQUEST_SIZE_MAX (sizeof(struct opener_request) + (size_t)OPENER_FILES_MAX * OPENER_LABEL_SIZE)

/* What requests are served from, and what they count. */
struct request_service {
	const struct policy *policy;
	struct recorder *recorder;
	struct clients *clients;
	struct copies *copies;
	struct known_mount mount;
	struct refusals *refusals;
	const char *const *sockets; /* where clients connect, as of client_read() */
	struct ucred asker; /* whose request is served: set before each; pid 0: not known */
	uint64_t requests; /* of any kind */
	uint64_t granted;  /* files */
	uint64_t refused;  /* files */
	uint64_t unrecorded; /* requests that were refused because the journal did not take a record */
};

struct response {
	struct opener_reply header;
	char text[OPENER_TEXT_MAX]; /* header.text_size of it */
	struct fdset fds;	    /* owned */
};

/* One file of a request, on its way through. */
struct request_file {
	const struct grant *grant;
	struct opened opened;
	const char *reason; /* why granted or refused */
	bool recorded;	    /* as granted, before it was */
};

/* A request from its packet to its records. Large; only what it needs is touched. */
struct request {
	struct request_service *service;
	struct opener_request header;
	const char (*labels)[OPENER_LABEL_SIZE]; /* header.count of them, each ended by a NUL; in the packet */
	const struct client *client;
	struct fdset *fds; /* what came along */
	struct places places;
	uint32_t refused; /* the first of the files that was; n_files: none */
	struct response *response;
	uint32_t n_files; /* to be recorded */
	struct request_file files[OPENER_FILES_MAX];
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
