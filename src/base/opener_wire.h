/* SPDX-License-Identifier: MIT
 *
 * What porterd and porterd-opener say to each other over /run/porterd-opener/opener: one seqpacket message a
 * request, one a reply, both in host byte order (it never leaves the machine). Every request carries exactly
 * one fd, the client's own connected socket; an OPENER_OK reply to OPENER_OPEN carries `count` fds.
 */
#pragma once

#include <stdint.h>

#define OPENER_SOCKET_PATH "/run/porterd-opener/opener"
#define OPENER_WIRE_VERSION 1U

/* A file's name in the policy, padded with NULs; the last byte is always NUL. */
#define OPENER_LABEL_SIZE 64

/* As many as one SCM_RIGHTS message can carry. */
#define OPENER_FILES_MAX 253

/* A reply's text: the reason of a refusal, or one page of a list. */
#define OPENER_TEXT_MAX 16384

enum opener_operation {
	OPENER_OPEN = 1,  /* all of the labelled files, or none */
	OPENER_CHECK = 2, /* a dry run of OPENER_OPEN: no file is opened, nothing is recorded; one label */
	OPENER_LIST = 3,  /* the files that the client may open, a page from `cursor` on; no label */
};

enum opener_result {
	OPENER_OK = 0,
	OPENER_UNKNOWN_FILE = 1,
	OPENER_NOT_PERMITTED = 2,
	OPENER_FILE_MISSING = 3,
	OPENER_WRONG_TYPE = 4,
	OPENER_UNSAFE_MODE = 5,
	OPENER_TOO_MANY_FILES = 6,
	OPENER_BUSY = 7,	/* out of fds or memory just now */
	OPENER_BAD_REQUEST = 8, /* a fault of porterd, never of its client */
};

/* A request is this header and `count` labels, nothing more. */
struct opener_request {
	uint32_t version;
	uint32_t operation; /* enum opener_operation */
	uint64_t serial;    /* comes back in the reply */
	uint32_t count;	    /* labels that follow: 1 to OPENER_FILES_MAX, 1 for CHECK, 0 for LIST */
	uint32_t cursor;    /* LIST: 0, or `cursor` of the reply before; otherwise 0 */
};

/* A reply is this header and `text_size` bytes of text. */
struct opener_reply {
	uint32_t version;
	uint32_t operation;
	uint64_t serial;
	uint32_t result; /* enum opener_result */
	uint32_t index;	 /* OPEN: which label the refusal is about */
	uint32_t count;	 /* OPEN: fds that come along; LIST: entries in the text */
	uint32_t cursor; /* LIST: where the next page begins, 0 after the last */
	uint32_t text_size; /* OPEN, CHECK: the reason, without NUL; LIST: name NUL description NUL access NUL, */
	uint32_t reserved;  /*              `count` times. 0 */
};

_Static_assert(sizeof(struct opener_request) == 24, "no padding on the wire");
_Static_assert(sizeof(struct opener_reply) == 40, "no padding on the wire");
