/* SPDX-License-Identifier: MIT
 *
 * org.varlink.service: what every service tells about itself.
 */
#include "varlink/dispatch.h"

static const char description[] =
#include "varlink/org.varlink.service.varlink.inc"
	;

static int run_get_info(struct varlink_call *call)
{
	const struct varlink_service *service = call->service;
	json_t *names = json_array();

	for (size_t i = 0; service->interfaces[i]; i++)
		(void)json_array_append_new(names, json_string(service->interfaces[i]->name));

	return varlink_reply(call, json_pack("{s:s,s:s,s:s,s:s,s:o}", "vendor", service->vendor, "product",
					     service->product, "version", service->version, "url",
					     service->url, "interfaces", names));
}

static int run_get_interface_description(struct varlink_call *call)
{
	const struct varlink_service *service = call->service;
	const char *name = varlink_call_string(call, "interface");

	for (size_t i = 0; service->interfaces[i]; i++)
		if (strcmp(service->interfaces[i]->name, name) == 0)
			return varlink_reply(call, json_pack("{s:s}", "description",
							     service->interfaces[i]->description));

	return varlink_reply_error(call, "org.varlink.service.InterfaceNotFound",
				   json_pack("{s:s}", "interface", name));
}

const struct varlink_interface varlink_service_interface = {
	.name = "org.varlink.service",
	.description = description,
	.methods =
		(const struct varlink_method[]){
			{ "GetInfo", NULL, run_get_info },
			{ "GetInterfaceDescription",
			  (const struct varlink_parameter[]){ { "interface", VARLINK_STRING, false }, { 0 } },
			  run_get_interface_description },
			{ 0 },
		},
};
