/* SPDX-License-Identifier: MIT
 *
 * The way back to the sender of a datagram.
 *
 * The kernel knows a sender bound in the file system by the path that it bound, as a string, and an answer is a
 * look-up of that string by whoever answers. By then, or in another mount namespace, it can name somebody else's
 * socket: the answerer's own, which would keep it busy for ever, or one that trusts the answerer's credentials.
 */
#pragma once

#include <sys/un.h>

#include "kernel/sockio.h"

struct return_address {
	struct sockaddr_storage address;
	socklen_t size;
	int pin; /* owned; negative: the address needs none */
};

/* Finds the way back. A socket in the file system is pinned without waiting for anything and must belong to the
 * sender's user; abstract addresses and other families are taken as they are.
 * -EDESTADDRREQ: the sender is bound to no address; -ENODATA: it can't be told whose the socket should be, because
 * the message carries no credentials; -EPERM: the socket is not the sender's; -EAGAIN: not to be found without
 * waiting, but another try may do; or why there is none. */
int return_address_find(struct return_address *ret, const struct sockio_sender *sender);

void return_address_clear(struct return_address *address);
