/* SPDX-License-Identifier: MIT
 *
 * porterctl as a client of the Varlink socket, and JSON on stdout.
 */
#include "porterctl/client.h"

#include "porterctl/failure.h"

const char *client_socket(const struct invocation *invocation)
{
	return invocation->socket ? invocation->socket : PORTER_SOCKET;
}

int client_connect(const struct invocation *invocation, struct porter **ret)
{
	int r = porter_connect(ret, client_socket(invocation));

	if (r < 0)
		return failure_connect(client_socket(invocation),
				       invocation->socket ? NULL : "porterd.socket", -r);
	return EXIT_DONE;
}

void client_print_json(const json_t *value)
{
	/* JSON escapes C0 by itself; ASCII leaves nothing else that a terminal could take for a command. */
	size_t flags = isatty(STDOUT_FILENO) ? JSON_INDENT(2) | JSON_ENSURE_ASCII : JSON_COMPACT;
	_cleanup_free_ char *text = json_dumps(value, flags);

	if (!text)
		failure_out_of_memory();
	(void)puts(text);
}

void client_print_error(const struct porter *porter)
{
	_cleanup_json_ json_t *error = NULL;

	error = json_pack("{s:s, s:o}", "error", porter_error_name(porter), "parameters",
			  json_loads(porter_error_parameters(porter), 0, NULL));
	if (!error)
		failure_out_of_memory();
	client_print_json(error);
}

int client_call_json(const struct invocation *invocation, const char *method, const char *tried,
		     const char *file, json_t **ret)
{
	_cleanup_porter_ struct porter *porter = NULL;
	_cleanup_json_ json_t *parameters = NULL, *reply = NULL;
	_cleanup_free_ char *request = NULL, *text = NULL;
	int r;

	parameters = file ? json_pack("{s:s}", "file", file) : json_object();
	if (!parameters)
		return failure_usage("a file's name has to be UTF-8");
	request = json_dumps(parameters, JSON_COMPACT);
	if (!request)
		failure_out_of_memory();

	r = client_connect(invocation, &porter);
	if (r != EXIT_DONE)
		return r;
	r = porter_call(porter, method, request, &text, NULL, NULL);
	if (r < 0)
		return failure_call(invocation, porter, tried, file, r);

	reply = json_loads(text, 0, NULL);
	if (!reply)
		failure_out_of_memory();
	client_print_json(reply);
	if (ret)
		*ret = TAKE_POINTER(reply);
	return EXIT_DONE;
}
