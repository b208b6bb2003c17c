/* SPDX-License-Identifier: MIT
 *
 * Every service, by name and type of socket.
 */
#include "services/table.h"

#include "base/macro.h"
#include "services/protocols.h"

static const struct protocol *const protocols[] = {
	&varlink_stream_protocol,
	&credentials_packet_protocol,
	&credentials_datagram_protocol,
	&echo_stream_protocol,
	&echo_packet_protocol,
	&echo_datagram_protocol,
};

bool service_is_known(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
		if (strcmp(protocols[i]->name, name) == 0)
			return true;
	return false;
}

const struct protocol *service_find(const char *name, int type)
{
	for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
		if (strcmp(protocols[i]->name, name) == 0 && protocols[i]->type == type)
			return protocols[i];
	return NULL;
}
