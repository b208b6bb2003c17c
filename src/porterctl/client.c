/* SPDX-License-Identifier: MIT
 *
 * porterctl as a client of the Varlink socket.
 */
#include "porterctl/client.h"

#include "porterctl/failure.h"
#include "porterctl/output.h"

int client_connect(const struct invocation *invocation, struct porter **ret)
{
	int r = porter_connect(ret, invocation_socket(invocation));

	if (r < 0)
		return failure_connect(invocation_socket(invocation),
				       invocation->socket ? NULL : "porterd.socket", -r);
	return EXIT_DONE;
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
		output_out_of_memory();

	r = client_connect(invocation, &porter);
	if (r != EXIT_DONE)
		return r;
	r = porter_call(porter, method, request, &text, NULL, NULL);
	if (r < 0)
		return failure_call(invocation, porter, tried, file, r);

	reply = json_loads(text, 0, NULL);
	if (!reply)
		output_out_of_memory();
	output_json(reply);
	if (ret)
		*ret = TAKE_POINTER(reply);
	return EXIT_DONE;
}
