/* SPDX-License-Identifier: MIT
 *
 * From a Varlink call to the function that answers it.
 */
#include "varlink/dispatch.h"

/* The call ends before its reply is given: the transport may hand on the next one as soon as it has that. True if there
 * is to be a reply. */
static bool begin_final(struct varlink_call *call)
{
	call->pending = false;
	return !call->envelope.oneway;
}

static int end_final(struct varlink_call *call, struct fdset *fds, int r)
{
	if (fds)
		fdset_clear(fds);
	call->steady = false;
	/* A reply function may not start the next call by itself, so this message is still the one. */
	json_decref(TAKE_POINTER(call->message));
	call->envelope = (struct varlink_envelope){ 0 };
	call->method = NULL;
	return r;
}

static struct fdset *any_of(struct fdset *fds)
{
	return fds && fds->count > 0 ? fds : NULL;
}

static int send_final(struct varlink_call *call, json_t *reply, struct fdset *fds)
{
	int r = 0;

	if (begin_final(call))
		r = reply ? call->reply(call, reply, any_of(fds)) : -ENOMEM;
	json_decref(reply);
	return end_final(call, fds, r);
}

int varlink_reply_text(struct varlink_call *call, const char *text, size_t size, struct fdset *fds)
{
	int r = 0;

	if (begin_final(call))
		r = call->reply_text(call, text, size, any_of(fds));
	return end_final(call, fds, r);
}

/* Wraps parameters into a reply. An empty object is left out, as UAPI.20 wants. */
static json_t *make_reply(json_t *parameters)
{
	if (!parameters)
		return NULL;
	if (json_object_size(parameters) == 0) {
		json_decref(parameters);
		return json_object();
	}
	return json_pack("{s:o}", "parameters", parameters);
}

int varlink_reply(struct varlink_call *call, json_t *parameters)
{
	return send_final(call, make_reply(parameters), NULL);
}

int varlink_reply_fds(struct varlink_call *call, json_t *parameters, struct fdset *fds)
{
	return send_final(call, make_reply(parameters), fds);
}

int varlink_reply_continues(struct varlink_call *call, json_t *parameters)
{
	_cleanup_json_ json_t *reply = make_reply(parameters);

	if (!call->envelope.more)
		return -EINVAL;
	if (!reply || json_object_set_new(reply, "continues", json_true()) < 0)
		return -ENOMEM;
	return call->reply(call, reply, NULL);
}

int varlink_reply_error(struct varlink_call *call, const char *error, json_t *parameters)
{
	json_t *reply = parameters ? json_pack("{s:s,s:o}", "error", error, "parameters", parameters)
				   : json_pack("{s:s}", "error", error);

	return send_final(call, reply, NULL);
}

int varlink_reply_invalid_parameter(struct varlink_call *call, const char *parameter)
{
	return varlink_reply_error(call, "org.varlink.service.InvalidParameter",
				   json_pack("{s:s}", "parameter", parameter));
}

json_t *varlink_call_parameter(const struct varlink_call *call, const char *name)
{
	json_t *value = json_object_get(call->envelope.parameters, name);

	return json_is_null(value) ? NULL : value;
}

const char *varlink_call_string(const struct varlink_call *call, const char *name)
{
	return json_string_value(varlink_call_parameter(call, name));
}

void varlink_call_abandon(struct varlink_call *call)
{
	call->pending = false;
	json_decref(TAKE_POINTER(call->message));
	call->envelope = (struct varlink_envelope){ 0 };
	call->method = NULL;
}

static bool value_has_type(const json_t *value, enum varlink_type type)
{
	size_t i;
	json_t *element;

	switch (type) {
	case VARLINK_STRING:
		return varlink_string(value);
	case VARLINK_STRINGS:
		if (!json_is_array(value))
			return false;
		json_array_foreach(value, i, element)
			if (!varlink_string(element))
				return false;
		return true;
	}
	return false;
}

/* The name of the first parameter that is unknown, missing or of a wrong type; NULL if all are right. */
static const char *find_invalid(const struct varlink_parameter *table, json_t *parameters)
{
	const char *key;
	json_t *value;

	json_object_foreach(parameters, key, value) {
		const struct varlink_parameter *known = table;

		while (known && known->name && strcmp(known->name, key) != 0)
			known++;
		if (!known || !known->name)
			return key;
	}

	for (const struct varlink_parameter *wanted = table; wanted && wanted->name; wanted++) {
		value = json_object_get(parameters, wanted->name);
		if (!value || json_is_null(value)) {
			if (!wanted->nullable)
				return wanted->name;
		} else if (!value_has_type(value, wanted->type)) {
			return wanted->name;
		}
	}
	return NULL;
}

static const struct varlink_interface *find_interface(const struct varlink_service *service, const char *name,
						      size_t size)
{
	for (size_t i = 0; service->interfaces[i]; i++) {
		const char *known = service->interfaces[i]->name;

		if (strlen(known) == size && memcmp(known, name, size) == 0)
			return service->interfaces[i];
	}
	return NULL;
}

static const struct varlink_method *find_method(const struct varlink_interface *interface, const char *name)
{
	for (const struct varlink_method *method = interface->methods; method->name; method++)
		if (strcmp(method->name, name) == 0)
			return method;
	return NULL;
}

static int run_call(struct varlink_call *call)
{
	const char *name = call->envelope.method, *dot = strrchr(name, '.'), *invalid;
	const struct varlink_interface *interface;
	const struct varlink_method *method;
	size_t size = dot ? (size_t)(dot - name) : strlen(name);

	interface = find_interface(call->service, name, size);
	if (!interface)
		return varlink_reply_error(call, "org.varlink.service.InterfaceNotFound",
					   json_pack("{s:s%}", "interface", name, size));

	method = dot ? find_method(interface, dot + 1) : NULL;
	if (!method)
		return varlink_reply_error(call, "org.varlink.service.MethodNotFound",
					   json_pack("{s:s}", "method", name));

	/* A reply would confirm the upgrade, and no method here has another protocol to change to. */
	if (call->envelope.upgrade)
		return varlink_reply_error(call, "org.varlink.service.MethodNotImplemented",
					   json_pack("{s:s}", "method", name));

	invalid = find_invalid(method->parameters, call->envelope.parameters);
	if (invalid)
		return varlink_reply_invalid_parameter(call, invalid);

	call->method = method;
	return method->run(call);
}

/* Vendors' extensions mean nothing here, and a call that is pending must not keep them. */
static void drop_extensions(json_t *message)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(message, next, key, value) {
		if (strchr(key, '.'))
			(void)json_object_del(message, key);
	}
}

int varlink_dispatch(struct varlink_call *call, const char *text, size_t size)
{
	int r = varlink_message_parse(text, size, &call->message);

	if (r < 0)
		return r;
	call->steady = false;
	r = varlink_envelope_read(call->message, &call->envelope);
	if (r < 0) {
		varlink_call_abandon(call);
		return r;
	}

	drop_extensions(call->message);
	call->pending = true;
	return run_call(call);
}

bool varlink_known_keep(struct varlink_known *known, const struct varlink_call *call)
{
	if (!call->method)
		return false;
	*known = (struct varlink_known){
		.message = json_incref(call->message),
		.envelope = call->envelope,
		.method = call->method,
	};
	return true;
}

void varlink_known_clear(struct varlink_known *known)
{
	json_decref(TAKE_POINTER(known->message));
}

int varlink_dispatch_known(struct varlink_call *call, const struct varlink_known *known)
{
	call->message = json_incref(known->message);
	call->envelope = known->envelope;
	call->method = known->method;
	call->steady = false;
	call->pending = true;
	return call->method->run(call);
}
