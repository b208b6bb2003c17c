/* SPDX-License-Identifier: MIT
 *
 * The opener at work: what its parts tell each other, when to read the policy anew, when to stop.
 */
#include "opener/serving/opener.h"

#include <signal.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/nofile.h"
#include "opener/serving/reload.h"
#include "opener/serving/entrance.h"
#include "opener/serving/peer.h"
#include "opener/serving/status.h"

/* porterd has one connection, and each of its per-client instances one: systemd starts up to 4,096 of those. */
#define CONNECTIONS_MAX ((size_t)4200)
/* A request's files and their pins, who is known by two, and some for looking around. */
#define RESERVED_FDS ((size_t)2 * FDSET_MAX + (size_t)2 * CLIENTS_KEPT + 64)
#define STOP_USEC (5 * USEC_PER_SEC)

struct opener {
	struct peer_owner owner;
	struct request_service service;
	struct request request;
	struct response scratch;
	struct refusals refusals;
	struct entrance entrance;
	struct status status;

	struct opener_options options;
	struct policy *policy;

	struct loop loop;
	sd_event_source *signals[3];
	sd_event_source *idle, *stop;
};

static struct opener *opener_of(struct peer_owner *owner)
{
	return CONTAINER_OF(owner, struct opener, owner);
}

/* --- connections ------------------------------------------------------------------------------------------- */

static void idle_changed(struct opener *opener)
{
	if (opener->service.connections == 0 && opener->options.exit_idle_usec > 0)
		loop_arm(&opener->loop, opener->idle, opener->options.exit_idle_usec);
	else
		(void)sd_event_source_set_enabled(opener->idle, SD_EVENT_OFF);
}

static int on_admit(struct entrance *entrance, int fd)
{
	struct opener *opener = CONTAINER_OF(entrance, struct opener, entrance);
	int r = peer_new(&opener->owner, fd);

	if (r < 0)
		return r;
	(void)sd_event_source_set_enabled(opener->idle, SD_EVENT_OFF);
	status_changed(&opener->status);
	return 0;
}

static bool on_resume(struct entrance *entrance)
{
	return peers_resume(&CONTAINER_OF(entrance, struct opener, entrance)->owner);
}

static void on_served(struct peer_owner *owner)
{
	status_changed(&opener_of(owner)->status);
}

static void on_closed(struct peer_owner *owner)
{
	struct opener *opener = opener_of(owner);

	entrance_left(&opener->entrance);
	status_changed(&opener->status);
	if (!owner->stopping)
		idle_changed(opener);
	else if (opener->service.connections == 0)
		loop_finish(&opener->loop);
}

static void on_paused(struct peer_owner *owner, int error)
{
	entrance_pause(&opener_of(owner)->entrance, error);
}

/* --- signals and ends -------------------------------------------------------------------------------------- */

static int read_policy(struct opener *opener)
{
	int r = policy_renew(&opener->policy, &opener->options.source, opener->service.recorder);

	opener->service.policy = opener->policy;
	return r;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct opener *opener = data;

	(void)source;
	(void)info;
	status_tell_reloading();
	(void)read_policy(opener);
	status_tell_ready(&opener->status);
	return 0;
}

static int on_stop_late(sd_event_source *source, uint64_t usec, void *data)
{
	struct opener *opener = data;

	(void)source;
	(void)usec;
	loop_finish(&opener->loop);
	return 0;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct opener *opener = data;

	(void)source;
	(void)info;
	if (opener->owner.stopping)
		return 0;

	status_tell_stopping(&opener->status);
	opener->owner.stopping = true;
	entrance_close(&opener->entrance);
	(void)sd_event_source_set_enabled(opener->idle, SD_EVENT_OFF);
	loop_arm(&opener->loop, opener->stop, STOP_USEC);
	peers_drain(&opener->owner);
	if (opener->service.connections == 0)
		loop_finish(&opener->loop);
	return 0;
}

/* Whoever connects just now is in the listening socket's queue, which the service manager holds too: it
 * starts the next opener for them. */
static int on_idle(sd_event_source *source, uint64_t usec, void *data)
{
	struct opener *opener = data;

	(void)source;
	(void)usec;
	if (opener->service.connections > 0)
		return 0;
	status_tell_stopping(&opener->status);
	loop_finish(&opener->loop);
	return 0;
}

static int add_signals(struct opener *opener)
{
	static const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = { { SIGTERM, on_stop }, { SIGINT, on_stop }, { SIGHUP, on_reload } };
	int r = 0;

	_Static_assert(ELEMENTSOF(signals) == ELEMENTSOF(opener->signals), "room for each");
	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(signals); i++)
		r = sd_event_add_signal(opener->loop.event, &opener->signals[i], signals[i].number, signals[i].handler,
					opener);
	return r;
}

static int add_timers(struct opener *opener)
{
	int r = entrance_open(&opener->entrance);

	if (r >= 0)
		r = status_open(&opener->status, &opener->loop, &opener->service);
	if (r >= 0)
		r = loop_timer_new(opener->loop.event, &opener->stop, on_stop_late, opener);
	if (r >= 0)
		r = loop_timer_new(opener->loop.event, &opener->idle, on_idle, opener);
	/* A connection that waits to be accepted comes before the end. */
	if (r >= 0)
		r = sd_event_source_set_priority(opener->idle, SD_EVENT_PRIORITY_IDLE);
	return r;
}

static int open_loop(struct opener *opener)
{
	int r = loop_open(&opener->loop);

	return r < 0 ? r : sd_event_set_watchdog(opener->loop.event, true);
}

static int make_tables(struct opener *opener)
{
	int r = clients_new(&opener->service.clients);

	return r < 0 ? r : copies_new(&opener->service.copies);
}

/* What leaves descriptors for the files of a request and for looking at them. */
static size_t find_connections_max(void)
{
	size_t limit = nofile_limit();

	return limit <= RESERVED_FDS ? 1 : MIN_OF(limit - RESERVED_FDS, CONNECTIONS_MAX);
}

static void connect_parts(struct opener *opener, struct recorder *recorder)
{
	opener->service.recorder = recorder;
	opener->service.refusals = &opener->refusals;
	opener->service.sockets = opener->options.sockets;
	opener->entrance = (struct entrance){
		.loop = &opener->loop,
		.service = &opener->service,
		.users = opener->options.users,
		.n_users = opener->options.n_users,
		.connections_max = find_connections_max(),
		.admit = on_admit,
		.resume = on_resume,
	};
	opener->owner = (struct peer_owner){
		.loop = &opener->loop,
		.service = &opener->service,
		.request = &opener->request,
		.scratch = &opener->scratch,
		.served = on_served,
		.closed = on_closed,
		.paused = on_paused,
	};
}

int opener_new(struct opener **ret, struct recorder *recorder, const struct opener_options *options,
	       const char **ret_step)
{
	static const struct {
		const char *name;
		int (*take)(struct opener *opener);
	} steps[] = {
		{ "opening the loop", open_loop },
		{ "taking signals", add_signals },
		{ "making timers", add_timers },
		{ "making tables", make_tables },
		{ "reading the policy", read_policy },
	};
	_cleanup_(cleanup_opener) struct opener *opener = calloc(1, sizeof(*opener));

	*ret_step = "making room";
	if (!opener)
		return -ENOMEM;
	opener->options = *options;
	connect_parts(opener, recorder);
	for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
		int r = steps[i].take(opener);

		*ret_step = steps[i].name;
		if (r < 0)
			return r;
	}
	*ret = TAKE_POINTER(opener);
	return 0;
}

int opener_add_listener(struct opener *opener, int fd)
{
	return entrance_add(&opener->entrance, fd);
}

int opener_run(struct opener *opener)
{
	int r;

	status_tell_ready(&opener->status);
	idle_changed(opener);
	r = loop_run(&opener->loop, NULL, NULL);
	(void)status_tell_journal(&opener->status);
	return r;
}

struct opener *opener_free(struct opener *opener)
{
	if (!opener)
		return NULL;

	peers_free(&opener->owner);
	entrance_clear(&opener->entrance);
	status_close(&opener->status);
	for (size_t i = 0; i < ELEMENTSOF(opener->signals); i++)
		sd_event_source_disable_unref(opener->signals[i]);
	sd_event_source_disable_unref(opener->idle);
	sd_event_source_disable_unref(opener->stop);
	loop_close(&opener->loop);
	policy_free(opener->policy);
	clients_free(opener->service.clients);
	copies_free(opener->service.copies);
	free(opener);
	return NULL;
}
