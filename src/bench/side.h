/* SPDX-License-Identifier: MIT
 *
 * One of the two that a case compares: servers, and a client that drives them.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "bench/measure.h"
#include "bench/process.h"
#include "bench/world.h"

/* Longest request or reply of a call. */
#define EXCHANGE_MAX 16384

struct side;

/* How much a client asks for at once, and of what. */
struct shape {
	size_t streams; /* connections */
	size_t size;	/* bytes of a message */
	size_t window;	/* messages under way */
	size_t files;	/* in one call */
};

/* How a client drives a server. It does so in a process of its own, whose exit frees everything. The functions return
 * 0 or -errno; -EBADMSG: what came back was wrong. */
struct load {
	int (*open)(struct side *side);
	/* Goes on until this time; if it has passed already, does the least that it can. */
	int (*run)(struct side *side, uint64_t until, struct sample *sample);
};

/* Starts a server, and sets side->servers and the address or fd to reach it by. */
typedef int (*side_start)(struct side *side);

/* In memory that is shared with the client. That is a process of its own, because one process may not have descriptors
 * enough for both sides. */
struct side {
	struct world *world;
	const char *service; /* what porterd speaks on it: the fd's name */
	int type;	     /* of its socket */
	const char *config;  /* porterd.conf; NULL: an empty one */
	const struct shape *shape;
	const struct load *load;

	/* The server. */
	struct process servers[2];
	char address[108];
	int fd; /* the client's end, if the server was given the other end of a connection */

	/* The client's process, and the socket by which it is told when to run: 0 or -errno comes back. */
	struct process client;
	int control;
	uint64_t turn_nsec;
	struct sample *sample; /* in shared memory, with its histogram */

	/* The client's own. */
	int *fds;
	size_t n_fds;
	void *state;
	uint64_t serial;

	/* Calls: what is asked, and what must come back. */
	char request[EXCHANGE_MAX], reply[EXCHANGE_MAX];
	size_t request_size, reply_size;
};

/* Both sides, in memory that is shared with the children. NULL: out of memory. */
struct side *sides_new(void);
void sides_free(struct side *sides /* consumed, both closed */);

/* Raises the limit of descriptors for this process, and for what it starts afterwards, to what the shape's connections
 * need. With the usual limit of 1,024 the last of many connections would wait in the server's socket for ever.
 * -EMFILE: it may not. */
int side_allow_fds(const struct side *side);

/* Starts the server, and the client, which connects. */
int side_open(struct side *side, side_start start);

/* The program that side_open() could not start; NULL: that was not why it failed. */
const char *side_not_run(const struct side *side);

/* CPU time of its servers. */
uint64_t side_server_nsec(const struct side *side);

/* Lets the client run for a time, and adds what it did to the sample, which is in memory that both share. */
int side_run(struct side *side, uint64_t nsec, struct sample *sample);

/* A new connection, which blocks, but not for ever. */
int side_connect(const struct side *side, int type);

/* Makes room for `count` client fds, all -EBADF. */
int side_make_fds(struct side *side, size_t count);

/* Send and receive everything. -EPIPE: the connection has ended; -ETIMEDOUT. */
int side_send_all(int fd, const void *data, size_t size);
int side_receive_all(int fd, void *data, size_t size);

/* Servers (side_daemon.c): porterd with one listening socket; with one connection of its own; with its opener. */
int side_start_porterd(struct side *side);
int side_start_porterd_accepted(struct side *side);
int side_start_porterd_files(struct side *side);

/* The shortest loops (bare_*.c). */
int side_start_bare_stream(struct side *side);
int side_start_bare_blocking(struct side *side);
int side_start_bare_datagram(struct side *side);
int side_start_bare_files(struct side *side);
int side_start_bare_files_alike(struct side *side);

/* Clients (load_*.c). */
extern const struct load load_streams;	 /* echo: one message on each connection, then their answers */
extern const struct load load_bulk;	 /* echo: the window's messages there, then back */
extern const struct load load_connect;	 /* connect, one exchange, close */
extern const struct load load_datagrams; /* echo: as many datagrams as the window allows */
extern const struct load load_get;	 /* Credentials.Get, as load_streams */
extern const struct load load_files;	 /* Files.Open or OpenMany; what came is compared */
