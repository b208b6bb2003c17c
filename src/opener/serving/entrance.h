/* SPDX-License-Identifier: MIT
 *
 * Where porterd connects: the listening sockets, who may come in, and when nobody can.
 */
#pragma once

#include "base/loop.h"
#include "opener/serving/service.h"

#define ENTRANCE_LISTENERS_MAX 8

/* What its owner gives, and the rest all zero at first. */
struct entrance {
	struct loop *loop;
	struct request_service *service;
	const uid_t *users; /* who may connect */
	size_t n_users;
	size_t connections_max;
	/* Serves a connection. 0 or -errno. */
	int (*admit)(struct entrance *entrance, int fd /* consumes fd */);
	/* A pause is over: whatever else rested goes on. False if something is still missing. */
	bool (*resume)(struct entrance *entrance);

	sd_event_source *listeners[ENTRANCE_LISTENERS_MAX];
	size_t n_listeners;
	sd_event_source *timer;
	bool closed;
};

/* 0 or -errno. */
int entrance_open(struct entrance *entrance);

/* Nobody comes in any more, whoever leaves. */
void entrance_close(struct entrance *entrance);

void entrance_clear(struct entrance *entrance);

/* Takes whoever connects to a listening seqpacket socket. */
int entrance_add(struct entrance *entrance, int fd /* consumes fd */);

/* Lets all that is new wait for a moment: what is missing (-errno) comes back by itself, or not at all. */
void entrance_pause(struct entrance *entrance, int error);

/* A connection is gone, and counted no more. */
void entrance_left(struct entrance *entrance);
