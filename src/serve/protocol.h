/* SPDX-License-Identifier: MIT
 *
 * What is spoken on a socket of one type. A service is a row or two of these (services/table).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/buffer.h"

struct connection;
struct listener;

/* What messages shall carry: nothing; credentials, as a sign that there is a message at all; or all that the
 * kernel knows of their sender. */
enum protocol_attestation {
	PROTOCOL_ATTEST_NONE,
	PROTOCOL_ATTEST_PRESENCE,
	PROTOCOL_ATTEST_SENDER,
};

/* What is left of a connection when its porterd ends, for the next one: all else the kernel keeps. */
struct leftovers {
	bool has_unsent; /* an empty packet is something, too */
	const char *unsent, *unread;
	size_t unsent_size, unread_size;
};

struct protocol {
	const char *name;    /* the fd's name */
	int type;	     /* SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM */
	bool unix_only;	     /* identifies its clients, which only AF_UNIX can */
	size_t state_size;   /* of a connection's state, which begins with its struct connection */
	enum protocol_attestation attestation;

	/* Connections: called when there is something to read, room to write, or an end. Runs the connection as
	 * far as it goes without waiting; may close it. */
	void (*ready)(struct connection *connection, uint32_t events);
	/* Frees what the state owns; may be NULL. */
	void (*clear)(struct connection *connection);
	/* Says what the next porterd needs of the connection; the texts stay the state's. What comes then is its
	 * connection_close() or, if it could not be given away, its draining. -errno: it can't go on. */
	int (*save)(struct connection *connection, struct leftovers *ret);
	/* Takes that up in a new connection, before anything is received. -errno: it can't go on. */
	int (*restore)(struct connection *connection, const struct leftovers *leftovers);
	/* What goes on with the socket while a client that has left has descriptors unread (serve/linger); NULL: it is never
	 * sent any. */
	const struct protocol *linger;
	/* Serves the connection to its end by blocking calls (Accept=yes); NULL: the loop does it. */
	int (*serve)(int fd, struct buffer *buffer);

	/* Datagram sockets: takes what has come, up to a bound. */
	void (*datagrams)(struct listener *listener);
};

/* Sets what a socket of the protocol needs before its first message is received. */
void protocol_prepare(const struct protocol *protocol, int fd);
