/* SPDX-License-Identifier: MIT
 *
 * The clients that asked a moment ago. What the kernel told of a connection then is still so, because it keeps the
 * credentials of connect() for as long as there is the connection; only what may change is asked anew.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "opener/deciding/client.h"

/* As many as are kept, each with up to two descriptors. */
#define CLIENTS_KEPT 64

struct clients;

int clients_new(struct clients **ret);
struct clients *clients_free(struct clients *clients);

/* As client_read(). *ret is the table's own, until it is asked again. */
enum opener_result clients_read(struct clients *clients, int fd, const struct ucred *asker,
				const char *const *sockets, const struct client **ret, const char **reason);

/* To be called once in a while: forgets who did not ask since the last time. True if somebody is kept. */
bool clients_sweep(struct clients *clients);
