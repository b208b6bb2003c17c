/* SPDX-License-Identifier: MIT
 *
 * The clients that asked a moment ago.
 *
 * An entry is found by the socket's cookie, which the kernel gives to no other socket, and by nothing that porterd
 * says. A descriptor of another socket, of the same process even, is looked at from the start. These never change
 * while there is the socket: which end of which kind of connection it is, where it was accepted, who made it (but for
 * a chown by root), and who connected. These do, and are asked for each request: whether that process is there, and
 * its unit, because a process can be moved to another.
 */
#include "opener/deciding/clients.h"

#include <stdint.h>

#include "base/macro.h"
#include "kernel/identity_watch.h"
#include "kernel/sockopt.h"

struct known {
	uint64_t cookie; /* 0: none */
	/* What else the answer depended on. */
	uid_t asker;
	const char *const *sockets;

	struct client client;
	struct identity_watch watch;
	bool used; /* since the last sweep */
};

struct clients {
	/* Cookies are counted up, so the newest ones fill the table evenly. */
	struct known known[CLIENTS_KEPT];
	struct client guest; /* who asks just now and is not kept */
};

int clients_new(struct clients **ret)
{
	struct clients *clients = calloc(1, sizeof(*clients));

	if (!clients)
		return -ENOMEM;
	client_init(&clients->guest);
	*ret = clients;
	return 0;
}

static void forget(struct known *known)
{
	if (known->cookie == 0)
		return;
	client_clear(&known->client);
	identity_watch_clear(&known->watch);
	known->cookie = 0;
}

struct clients *clients_free(struct clients *clients)
{
	if (!clients)
		return NULL;
	for (size_t i = 0; i < ELEMENTSOF(clients->known); i++)
		forget(&clients->known[i]);
	client_clear(&clients->guest);
	free(clients);
	return NULL;
}

bool clients_sweep(struct clients *clients)
{
	bool any = false;

	client_clear(&clients->guest);
	for (size_t i = 0; i < ELEMENTSOF(clients->known); i++) {
		struct known *known = &clients->known[i];

		if (!known->used)
			forget(known);
		known->used = false;
		any = any || known->cookie != 0;
	}
	return any;
}

/* Makes the client the guest, who has the table's word for this one request. */
static void see_off(struct clients *clients, struct known *known)
{
	client_clear(&clients->guest);
	clients->guest = known->client;
	client_init(&known->client);
	forget(known);
}

static enum opener_result read_again(struct clients *clients, struct known *known, const struct client **ret,
				     const char **reason)
{
	int r = identity_watch_unit(&known->client.identity, &known->watch);

	known->used = true;
	*ret = &known->client;
	if (r >= 0)
		return OPENER_OK;
	known->client.alive = false;
	see_off(clients, known);
	*ret = &clients->guest;
	if (r == -ESRCH)
		return OPENER_OK;
	*reason = "out of memory or descriptors";
	return OPENER_BUSY;
}

/* Who is alive by a pidfd can be asked for again. A pair's ends stand for one that asks, not for a client. */
static bool is_to_keep(const struct client *client, uint64_t cookie)
{
	return cookie != 0 && client->alive && client->identity.pidfd >= 0 && !client->pair;
}

enum opener_result clients_read(struct clients *clients, int fd, const struct ucred *asker,
				const char *const *sockets, const struct client **ret, const char **reason)
{
	enum opener_result result;
	struct known *known;
	uint64_t cookie;

	if (sockopt_cookie(fd, &cookie) < 0)
		cookie = 0;
	known = &clients->known[cookie % ELEMENTSOF(clients->known)];
	if (cookie != 0 && known->cookie == cookie && known->asker == asker->uid && known->sockets == sockets)
		return read_again(clients, known, ret, reason);

	client_clear(&clients->guest);
	*ret = &clients->guest;
	result = client_read(&clients->guest, fd, asker, sockets, reason);
	if (result != OPENER_OK || !is_to_keep(&clients->guest, cookie))
		return result;

	forget(known);
	*known = (struct known){
		.cookie = cookie,
		.asker = asker->uid,
		.sockets = sockets,
		.client = clients->guest,
		.used = true,
	};
	identity_watch_init(&known->watch);
	client_init(&clients->guest);
	*ret = &known->client;
	return OPENER_OK;
}
