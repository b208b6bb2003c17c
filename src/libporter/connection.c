/* SPDX-License-Identifier: MIT
 *
 * A connection to the service, and one call on it.
 */
#include "libporter/connection.h"

#include <sys/socket.h>

#include "kernel/address.h"
#include "libporter/service_errors.h"
#include "libporter/wire.h"

int porter_connect(struct porter **ret, const char *path)
{
	struct porter *porter;
	int fd;

	if (!ret)
		return -EINVAL;

	fd = address_connect(path ? path : PORTER_SOCKET, SOCK_STREAM);
	if (fd < 0)
		return fd;

	porter = calloc(1, sizeof(*porter));
	if (!porter) {
		fd_close(fd);
		return -ENOMEM;
	}

	porter->fd = fd;
	*ret = porter;
	return 0;
}

static void forget_error(struct porter *porter)
{
	free(TAKE_POINTER(porter->error_name));
	free(TAKE_POINTER(porter->error_reason));
	free(TAKE_POINTER(porter->error_file));
	free(TAKE_POINTER(porter->error_parameters));
}

void porter_free(struct porter *porter)
{
	if (!porter)
		return;

	fd_close(porter->fd);
	forget_error(porter);
	free(porter);
}

bool connection_begin(struct porter *porter)
{
	if (porter)
		forget_error(porter);
	return porter;
}

const char *porter_error_name(const struct porter *porter)
{
	return porter ? porter->error_name : NULL;
}

const char *porter_error_reason(const struct porter *porter)
{
	return porter ? porter->error_reason : NULL;
}

const char *porter_error_file(const struct porter *porter)
{
	return porter ? porter->error_file : NULL;
}

const char *porter_error_parameters(const struct porter *porter)
{
	return porter ? porter->error_parameters : NULL;
}

/* The errno value, negative, for an error of the service. */
static int error_to_errno(const char *name)
{
#define ENTRY(name, error, words) { name, error },
	static const struct {
		const char *name;
		int error;
	} errors[] = { SERVICE_ERRORS(ENTRY) };
#undef ENTRY

	for (size_t i = 0; i < ELEMENTSOF(errors); i++)
		if (strcmp(errors[i].name, name) == 0)
			return -errors[i].error;
	return -EREMOTEIO;
}

int connection_break(struct porter *porter)
{
	fd_close(TAKE_FD(porter->fd));
	return -EBADMSG;
}

static int remember_error(struct porter *porter, const char *name, const json_t *parameters)
{
	const char *reason = json_string_value(json_object_get(parameters, "reason"));
	const char *file = json_string_value(json_object_get(parameters, "file"));

	porter->error_name = strdup(name);
	porter->error_reason = reason ? strdup(reason) : NULL;
	porter->error_file = file ? strdup(file) : NULL;
	porter->error_parameters = json_dumps(parameters, JSON_COMPACT);

	if (!porter->error_name || (reason && !porter->error_reason) || (file && !porter->error_file) ||
	    !porter->error_parameters) {
		forget_error(porter);
		return -ENOMEM;
	}
	return error_to_errno(name);
}

/* The request as text, with a NUL at its end that belongs to it. */
static int build_request(const char *method, json_t *parameters /* consumes reference */, char **ret,
			 size_t *ret_size)
{
	_cleanup_json_ json_t *request = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size;

	/* json_pack() also fails where `method` is not UTF-8, and then drops `parameters`. */
	request = json_pack("{s:s, s:o}", "method", method, "parameters", parameters);
	if (!request)
		return -EINVAL;

	text = json_dumps(request, JSON_COMPACT);
	if (!text)
		return -ENOMEM;

	size = strlen(text);
	if (size > PORTER_MESSAGE_MAX)
		return -EMSGSIZE;

	*ret_size = size + 1;
	*ret = TAKE_POINTER(text);
	return 0;
}

/* Takes a reply's envelope apart. -EBADMSG: it is none. An error reply is remembered. */
static int parse_reply(struct porter *porter, const char *text, size_t size, json_t **ret, bool *ret_is_error)
{
	_cleanup_json_ json_t *reply = NULL, *parameters = NULL;
	const json_t *continues, *error;

	reply = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(reply))
		return -EBADMSG;

	parameters = json_incref(json_object_get(reply, "parameters"));
	if (json_is_null(parameters))
		json_decref(TAKE_POINTER(parameters));
	if (!parameters) {
		parameters = json_object();
		if (!parameters)
			return -ENOMEM;
	}

	/* Nobody asked for `more`, so a reply that announces another one is out of order. */
	continues = json_object_get(reply, "continues");
	if (!json_is_object(parameters) ||
	    (continues && !json_is_null(continues) && !json_is_false(continues)))
		return -EBADMSG;

	error = json_object_get(reply, "error");
	*ret_is_error = error && !json_is_null(error);
	if (*ret_is_error) {
		if (!json_is_string(error) || json_string_length(error) == 0)
			return -EBADMSG;
		return remember_error(porter, json_string_value(error), parameters);
	}

	*ret = TAKE_POINTER(parameters);
	return 0;
}

int connection_call(struct porter *porter, const char *method, json_t *parameters, json_t **ret,
		    struct fdset *fds)
{
	_cleanup_free_ char *request = NULL, *reply = NULL;
	size_t request_size = 0, reply_size = 0;
	bool is_error = false;
	int r;

	r = build_request(method, parameters, &request, &request_size);
	if (r < 0)
		return r;
	if (porter->fd < 0)
		return -ENOTCONN;

	r = wire_send(porter->fd, request, request_size);
	if (r == 0)
		r = wire_receive(porter->fd, &reply, &reply_size, fds);
	if (r < 0) {
		fdset_clear(fds);
		(void)connection_break(porter);
		return r;
	}

	r = parse_reply(porter, reply, reply_size, ret, &is_error);
	if (r == -EBADMSG || (is_error && fds->count > 0)) {
		forget_error(porter);
		r = connection_break(porter);
	}
	if (r < 0)
		fdset_clear(fds);
	return r;
}

int connection_call_plain(struct porter *porter, const char *method, json_t *parameters, json_t **ret)
{
	_cleanup_(fdset_clear) struct fdset fds = { .count = 0 };
	int r;

	r = connection_call(porter, method, parameters, ret, &fds);
	if (r == 0 && fds.count > 0) {
		json_decref(TAKE_POINTER(*ret));
		return connection_break(porter);
	}
	return r;
}

int porter_call(struct porter *porter, const char *method, const char *parameters, char **ret_reply,
		int *ret_fds, size_t *n_fds)
{
	_cleanup_(fdset_clear) struct fdset fds = { .count = 0 };
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_free_ char *text = NULL;
	size_t room = ret_fds && n_fds ? *n_fds : 0;
	json_t *arguments;
	int r;

	if (!connection_begin(porter) || !method || !ret_reply)
		return -EINVAL;

	arguments = parameters ? json_loads(parameters, JSON_REJECT_DUPLICATES, NULL) : json_object();
	if (!json_is_object(arguments)) {
		json_decref(arguments);
		return -EINVAL;
	}

	r = connection_call(porter, method, arguments, &reply, &fds);
	if (r < 0)
		return r;
	if (fds.count > room)
		return connection_break(porter);

	text = json_dumps(reply, JSON_COMPACT);
	if (!text)
		return -ENOMEM;

	if (n_fds)
		*n_fds = fds.count;
	for (size_t i = 0; i < fds.count; i++)
		ret_fds[i] = fdset_take(&fds, i);
	*ret_reply = TAKE_POINTER(text);
	return 0;
}
