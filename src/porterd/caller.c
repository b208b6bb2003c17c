/* SPDX-License-Identifier: MIT
 *
 * Who made a Varlink call.
 */
#include "porterd/caller.h"

#include "base/macro.h"
#include "porterd/server.h"

void caller_init(struct caller *caller, struct server *server, int socket_fd)
{
	*caller = (struct caller){ .server = server, .socket_fd = socket_fd };
	identity_init(&caller->identity);
}

void caller_clear(struct caller *caller)
{
	opener_call_cancel(&caller->opener_call);
	json_decref(TAKE_POINTER(caller->list));
	identity_clear(&caller->identity);
}

int caller_identify(struct caller *caller, unsigned parts)
{
	/* What a datagram brought is all there is, but for the unit of its pidfd. */
	if (caller->socket_fd < 0)
		return parts & IDENTITY_UNIT ? identity_read_unit(&caller->identity) : 0;

	return identity_read(&caller->identity, caller->socket_fd, parts);
}
