/* SPDX-License-Identifier: MIT
 *
 * A socket whose client has descriptors unread.
 */
#include "serve/linger.h"

#include <sys/socket.h>

#include "base/macro.h"
#include "kernel/sockopt.h"
#include "serve/connection.h"

/* Each read of the client is an edge, and so is its end. */
static void linger_ready(struct connection *connection, uint32_t events)
{
	(void)events;
	/* The loop calls, so nobody has in hand what the protocol before has left. */
	free(TAKE_POINTER(connection->late));
	if (connection->population->closing || sockopt_all_read(connection->source.fd))
		connection_end(connection);
}

/* Nothing is to be told but how many descriptors are unread, which is told of every connection. */
static int linger_save(struct connection *connection, struct leftovers *ret)
{
	(void)connection;
	(void)ret;
	return 0;
}

static int linger_restore(struct connection *connection, const struct leftovers *leftovers)
{
	if (leftovers->has_unsent || leftovers->unread_size > 0)
		return -EBADMSG;
	connection_linger(connection);
	return 0;
}

const struct protocol linger_protocol = {
	.name = "unread",
	.type = SOCK_STREAM,
	.state_size = sizeof(struct connection),
	.ready = linger_ready,
	.save = linger_save,
	.restore = linger_restore,
};
