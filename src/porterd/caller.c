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

int caller_reserve(struct caller *caller, size_t n_descriptors)
{
	struct server *server = caller->server;

	/* One answer is always let through when no other is under way. */
	if (server->n_descriptors > 0 && server->n_descriptors + n_descriptors > server->descriptors_max)
		return -EBUSY;
	server->n_descriptors += n_descriptors;
	caller->n_descriptors += n_descriptors;
	return 0;
}

void caller_release(struct caller *caller)
{
	caller->server->n_descriptors -= caller->n_descriptors;
	caller->n_descriptors = 0;
}

void caller_clear(struct caller *caller)
{
	caller_release(caller);
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
