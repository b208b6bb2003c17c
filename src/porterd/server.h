/* SPDX-License-Identifier: MIT
 *
 * The daemon as a whole: what its services share, from the first listening socket to the last connection.
 */
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "base/loop.h"
#include "porterd/config.h"
#include "porterd/patience.h"
#include "porterd/pipe_pool.h"
#include "porterd/quota.h"
#include "record/record.h"

struct opener_client;
struct protocol;
struct worker;

/* Unless told otherwise (ConnectionsMax=). */
#define SERVER_CONNECTIONS_MAX 4096

/* How long clients that do not read their answers are waited for when the daemon stops. Units give it more
 * (TimeoutStopSec=). */
#define SERVER_DRAIN_SECONDS 5

/* Where connections and packets are received into, one for the whole process: what is not consumed at once is
 * copied to its connection. Larger than any packet that can be sent back; only touched pages cost memory. */
struct server_buffer {
	char *data;
	size_t size;
};

struct server_counts {
	uint64_t requests;	  /* Varlink calls, and packets echoed or answered */
	uint64_t accepted;	  /* connections, since the start */
	uint64_t unbound;	  /* datagrams whose sender has no address to answer to */
	uint64_t unattested;	  /* datagrams without credentials */
	uint64_t undeliverable;	  /* answers to datagrams that their senders did not take */
	uint64_t oversized;	  /* packets too large to be sent back */
	uint64_t malformed;	  /* connections closed for a malformed message */
	uint64_t late;		  /* connections closed because they kept porterd waiting */
};

struct server_options {
	struct config config; /* of this process; where ConnectionsMax= is 0: SERVER_CONNECTIONS_MAX */
	/* On SIGHUP: sets it anew. NULL: the signal changes nothing. */
	void (*renew)(struct config *config, void *userdata);
	void *userdata;

	uint64_t idle_usec; /* exit after so long without a connection; 0: never */
	const char *opener_path;
	struct worker *worker; /* NULL: the only process of the daemon */
};

struct server {
	struct loop loop;
	struct recorder *recorder;
	struct server_buffer buffer;
	struct server_buffer batch; /* for many datagrams at once; only there once it was needed */
	struct server_counts counts;
	struct opener_client *opener;
	struct pipe_pool pipes;
	struct quota quota;
	struct patience patience;
	struct server_options options;
	struct worker *worker; /* of the options; NULL: it serves alone */

	struct listener *listeners;
	struct connection *connections;
	size_t n_connections, connections_max;
	uint64_t look_for_readers_usec; /* not before; see porterd/descriptors */
	size_t store_room; /* descriptors that systemd takes before a restart */
	size_t n_waiting; /* answers to datagrams that are to be tried again */
	bool single; /* serves the one connection that it was started with */

	bool draining;	   /* takes nothing new */
	bool handing_over; /* gives its connections to the next porterd as soon as nothing is under way */
	bool full;    /* listeners are paused: as many connections as are allowed */
	bool active;  /* something happened since the last tick */
	bool ticking; /* the tick timer is armed */
	bool told_ready; /* the service manager knows that we serve */
	struct complaint pause;
	sd_event_source *tick, *idle, *resume, *deadline;
};

/* Memory for it is only used where it is touched. */
int server_buffer_open(struct server_buffer *buffer);
void server_buffer_close(struct server_buffer *buffer);

/* Makes room for SOCKIO_DATAGRAMS_MAX datagrams, each as large as any can be. */
int server_batch_open(struct server *server);

/* Sets everything up but the sockets. The recorder stays the caller's. */
int server_open(struct server *server, const struct server_options *options, struct recorder *recorder);
void server_close(struct server *server);

/* Serves until it is stopped or idle. Tells systemd about readiness and status. */
int server_run(struct server *server);

/* Stops accepting, lets every connection answer what was already received, then ends the loop. */
void server_drain(struct server *server);

/* Stops accepting and reading, finishes what was begun, and has systemd keep the connections for the next porterd.
 * Those that it can't keep are drained. */
void server_hand_over(struct server *server);

/* A connection came or went: pauses and resumes listeners at the limit, arms the idle timer, ends a drain. */
void server_connections_changed(struct server *server);

/* For each listener whose clients become connections. */
void server_for_each_acceptor(struct server *server, void (*function)(struct listener *listener));

/* Those who were left to wait are taken, unless there is another reason why they wait. */
void server_resume_acceptors(struct server *server);

/* accept() or a receive failed for want of something: listeners pause for a moment, told once in a while. */
void server_pause(struct server *server, int error);
