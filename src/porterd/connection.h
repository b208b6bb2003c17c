/* SPDX-License-Identifier: MIT
 *
 * Listening sockets, the connections that come out of them, and sockets that take datagrams.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "porterd/patience.h"
#include "porterd/quota.h"

struct answers;
struct kept;
struct server;
struct server_buffer;
struct connection;
struct listener;

/* What messages shall carry: nothing; credentials, as a sign that there is a message at all; or all that the
 * kernel knows of their sender. */
enum protocol_attestation {
	PROTOCOL_ATTEST_NONE,
	PROTOCOL_ATTEST_PRESENCE,
	PROTOCOL_ATTEST_SENDER,
};

/* What is spoken on a socket of one type. A service is a row or two of these (porterd/activation). */
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
	/* Frees, at the end of the loop's round, what somebody may still have in hand; may be NULL. */
	void (*release)(struct connection *connection);
	/* Says what the next porterd needs of the connection; the texts stay the state's. What comes then is its
	 * connection_close() or, if it could not be given away, its draining. -errno: it can't be kept. */
	int (*save)(struct connection *connection, struct kept *kept);
	/* Takes that up in a new connection, before anything is received. -errno: it can't go on. */
	int (*restore)(struct connection *connection, const struct kept *kept);
	/* Serves the connection to its end by blocking calls (Accept=yes); NULL: the loop does it. */
	int (*serve)(int fd, struct server_buffer *buffer);

	/* Datagram sockets: takes what has come, up to a bound. */
	void (*datagrams)(struct listener *listener);
};

/* A socket that systemd handed over: it listens, or takes datagrams. */
struct listener {
	struct loop_source source;
	struct server *server;
	const struct protocol *protocol;
	struct listener *next;
	struct answers *answers; /* of a datagram socket */
	bool queued;		 /* the last time more than one datagram was there at once */
	bool paused;
};

/* One client. First member of its protocol's state. */
struct connection {
	struct loop_source source;
	struct server *server;
	const struct protocol *protocol;
	struct connection *next, *previous;
	uint32_t events; /* what epoll watches for */
	bool watched;	 /* is in the epoll set */
	bool closed;
	bool resting; /* see connection_rest() */
	bool aside;   /* see connection_set_aside() */
	uint32_t unread_descriptors; /* see porterd/descriptors */
	struct quota_share share;
	struct patience_entry patience;
};

/* Sets what a socket of the protocol needs before its first message is received. */
void socket_prepare(const struct protocol *protocol, int fd);

/* Takes the fd over and serves it. */
int listener_add(struct server *server, const struct protocol *protocol, int fd /* consumes fd */);
void listener_free(struct listener *listener);

/* Stops and starts taking connections or datagrams; what comes meanwhile waits in the kernel. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);

/* Receiving from it failed. If that was for want of something, it rests, and is tried again in a moment. */
void listener_rest(struct listener *listener, int error);

/* Takes a connected socket over and serves what is already there. */
int connection_add(struct server *server, const struct protocol *protocol, int fd /* consumes fd */);

/* The same with a connection of the porterd before. */
int connection_restore(struct server *server, const struct protocol *protocol, int fd /* consumes fd */,
		       const struct kept *kept);

/* A connection that ends, of which only the socket and what its client has not read are kept, by another protocol. It
 * has the connection's place in its user's quota. */
int connection_keep(struct server *server, const struct protocol *protocol, int fd /* consumes fd */,
		    uint32_t unread_descriptors);

/* Closes the connection; its memory stays until the end of the loop's round. */
void connection_close(struct connection *connection);

/* Changes what epoll watches for, if it is something else. */
void connection_watch(struct connection *connection, uint32_t events);

/* Tells epoll anew what is watched for; if that is there already, it is told, or told again. 0 or -errno. */
int connection_watch_again(struct connection *connection);

/* Receiving from it failed. If that was for want of something, and no fault of the client's, the connection rests
 * until server_pause() is over, and the answer is true. */
bool connection_rest(struct connection *connection, int error);
void connection_resume(struct connection *connection);

/* While the server hands its connections over, none is served: those that have events are set aside. Those that could
 * not be given away are taken up again. */
void connection_set_aside(struct connection *connection);
void connection_take_up(struct connection *connection);

/* Makes the connection read what was received before, and then an end. */
void connection_drain(struct connection *connection);
