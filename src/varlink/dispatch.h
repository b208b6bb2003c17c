/* SPDX-License-Identifier: MIT
 *
 * From a Varlink call to the function that answers it, by tables. Knows neither sockets nor porterd: replies
 * leave through a function of the transport.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/fdset.h"
#include "varlink/message.h"

struct varlink_call;

enum varlink_type {
	VARLINK_STRING,
	VARLINK_STRINGS, /* []string */
};

/* One input parameter. A table of them ends with a NULL name. */
struct varlink_parameter {
	const char *name;
	enum varlink_type type;
	bool nullable;
};

/* One method. Its parameters were checked against the table when `run` is called; run replies by one of the
 * functions below, now or later (until then the transport hands no other call of this caller on).
 * It returns 0, or -errno if no reply could be made: the transport then closes the connection. */
struct varlink_method {
	const char *name;
	const struct varlink_parameter *parameters;
	int (*run)(struct varlink_call *call);
};

/* One interface; `methods` ends with a NULL name. */
struct varlink_interface {
	const char *name;
	const char *description; /* the .varlink text */
	const struct varlink_method *methods;
};

/* What GetInfo tells, and what is served; `interfaces` ends with NULL. */
struct varlink_service {
	const char *vendor, *product, *version, *url;
	const struct varlink_interface *const *interfaces;
};

/* A call under way. The transport owns it and sets the first three before varlink_dispatch(). */
struct varlink_call {
	const struct varlink_service *service;
	/* Takes a whole reply and, for replies with descriptors, a non-empty set, which is emptied. */
	int (*reply)(struct varlink_call *call, json_t *reply, struct fdset *fds);
	/* The same for a reply that is text already, as on the wire; NULL where no method has such. */
	int (*reply_text)(struct varlink_call *call, const char *text, size_t size, struct fdset *fds);
	void *caller; /* the transport's own: who asks */

	json_t *message; /* owned */
	struct varlink_envelope envelope;
	const struct varlink_method *method; /* NULL until it is known, and fit to be run */
	bool pending; /* no final reply was given yet */
	bool steady; /* set by a method before its reply: the same call will get the same reply from this caller */
};

/* org.varlink.service; every service lists it among its interfaces. */
extern const struct varlink_interface varlink_service_interface;

/* Runs the call that the message holds. 0: it was answered, or is pending. -EBADMSG: the message is none, and
 * there is no reply to such; otherwise as `run`. */
int varlink_dispatch(struct varlink_call *call, const char *text, size_t size);

/* A call that may come again in the same words, and needs no looking at then. */
struct varlink_known {
	json_t *message; /* owned */
	struct varlink_envelope envelope;
	const struct varlink_method *method;
};

/* Keeps the call that is replied to just now. False: its method was never run. */
bool varlink_known_keep(struct varlink_known *known, const struct varlink_call *call);
void varlink_known_clear(struct varlink_known *known);

/* Runs it anew. Returns as above. */
int varlink_dispatch_known(struct varlink_call *call, const struct varlink_known *known);

/* Ends a call without a reply, for a caller that has left. */
void varlink_call_abandon(struct varlink_call *call);

/* The string parameter `name` of the call; NULL if absent. Belongs to the call. */
const char *varlink_call_string(const struct varlink_call *call, const char *name);

/* The parameter `name` of the call, whatever it is; NULL if absent or null. Belongs to the call. */
json_t *varlink_call_parameter(const struct varlink_call *call, const char *name);

/* Final reply. `parameters` is consumed, also on errors; NULL stands for json_pack() having failed: -ENOMEM. */
int varlink_reply(struct varlink_call *call, json_t *parameters);

/* Final reply with descriptors, which are consumed: the set is empty afterwards. */
int varlink_reply_fds(struct varlink_call *call, json_t *parameters, struct fdset *fds);

/* The same where the whole reply is known as text: a JSON object of `size` bytes with its NUL. */
int varlink_reply_text(struct varlink_call *call, const char *text, size_t size, struct fdset *fds);

/* A reply that others follow; only for calls with `more`. */
int varlink_reply_continues(struct varlink_call *call, json_t *parameters);

/* Error reply. `parameters` as above, but may be NULL for none. */
int varlink_reply_error(struct varlink_call *call, const char *error, json_t *parameters);

/* org.varlink.service.InvalidParameter. */
int varlink_reply_invalid_parameter(struct varlink_call *call, const char *parameter);
