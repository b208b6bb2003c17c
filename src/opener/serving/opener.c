/* SPDX-License-Identifier: MIT
 *
 * The opener at work: who may connect, when to read the policy anew, when to stop, what to tell.
 */
#include "opener/serving/opener.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/loop.h"
#include "kernel/sockopt.h"
#include "opener/serving/peer.h"
#include "opener/policy/reload.h"
#include "record/message_id.h"

#define PAUSE_USEC (100 * USEC_PER_MSEC)
#define STATUS_USEC USEC_PER_SEC
#define STOP_USEC (5 * USEC_PER_SEC)
/* A request's files and their pins, who is known by two, and some for looking around. */
#define RESERVED_FDS ((rlim_t)2 * FDSET_MAX + (rlim_t)2 * CLIENTS_KEPT + 64)

struct opener {
	struct peer_owner owner;
	struct request_service service;
	struct request request;
	struct response scratch;

	struct refusals refusals;

	struct recorder *recorder;
	struct opener_options options;
	struct policy *policy;

	struct loop loop;
	sd_event_source *signals[3];
	sd_event_source *listeners[OPENER_LISTENERS_MAX];
	size_t n_listeners;
	sd_event_source *resume, *idle, *status, *stop;
	size_t n_connections, connections_max;

	char told[256]; /* the status that the service manager knows */
	bool status_due; /* the timer for it is set */
	bool ready_untold; /* it still waits for READY=1 */
	struct complaint repeating;
	uint64_t unrecorded_told; /* of service.unrecorded */
};

static struct opener *opener_of(struct peer_owner *owner)
{
	return CONTAINER_OF(owner, struct opener, owner);
}

static void disarm(sd_event_source *timer)
{
	(void)sd_event_source_set_enabled(timer, SD_EVENT_OFF);
}

/* --- status ------------------------------------------------------------------------------------------------ */

/* The journal can't be told while it is what is amiss, the service manager can. */
static void tell_status(struct opener *opener, const char *state)
{
	char status[sizeof(opener->told)], unrecorded[48] = "";
	const char *ready = opener->ready_untold ? "READY=1\n" : "";

	if (opener->service.unrecorded > 0)
		(void)snprintf(unrecorded, sizeof(unrecorded), ", unrecorded: %" PRIu64,
			       opener->service.unrecorded);
	(void)snprintf(status, sizeof(status),
		       "connections: %zu, requests: %" PRIu64 ", granted: %" PRIu64 ", refused: %" PRIu64
		       ", dropped-records: %" PRIu64 ", files: %zu%s",
		       opener->n_connections, opener->service.requests, opener->service.granted,
		       opener->service.refused, recorder_counts(opener->recorder).dropped,
		       opener->policy->n_granted, unrecorded);
	if (state[0] == '\0' && ready[0] == '\0' && strcmp(status, opener->told) == 0)
		return;
	memcpy(opener->told, status, sizeof(status));
	if (sd_notifyf(0, "%s%sSTATUS=%s", state, ready, status) >= 0)
		opener->ready_untold = false;
}

/* Something of the status may have changed: tell it within a second, together with what else changes then. */
static void status_changed(struct opener *opener)
{
	if (opener->status_due)
		return;
	opener->status_due = true;
	loop_arm(&opener->loop, opener->status, STATUS_USEC);
}

/* What was refused because there was no record of it, once there can be one. False if that is not yet. */
static bool tell_unrecorded(struct opener *opener)
{
	uint64_t untold = opener->service.unrecorded - opener->unrecorded_told;

	if (untold == 0)
		return true;
	record_begin(opener->recorder, LOG_WARNING, MESSAGE_ID_UNRECORDED);
	record_format(opener->recorder, "MESSAGE", "%" PRIu64 " requests were refused, because the journal took no "
		      "records and the policy has AuditRequired=yes", untold);
	record_number(opener->recorder, "PORTERD_REFUSED", (int64_t)untold);
	if (!record_try(opener->recorder))
		return false;
	opener->unrecorded_told += untold;
	return true;
}

/* What the journal has not been told yet. False if it does not take it now. */
static bool tell_untold(struct opener *opener)
{
	return recorder_flush(opener->recorder) && tell_unrecorded(opener) &&
	       refusals_tell(&opener->refusals, opener->recorder);
}

static int on_status(sd_event_source *source, uint64_t usec, void *data)
{
	struct opener *opener = data;
	bool kept = clients_sweep(opener->service.clients), held = copies_sweep(opener->service.copies);

	(void)source;
	(void)usec;
	opener->status_due = false;
	tell_status(opener, "");
	if (!tell_untold(opener) || kept || held || opener->ready_untold)
		status_changed(opener);
	return 0;
}

/* What the manager does not hear is told again: it would wait for it, and at last give up. */
static void tell_ready(struct opener *opener)
{
	opener->ready_untold = true;
	tell_status(opener, "");
	if (opener->ready_untold)
		status_changed(opener);
}

static void tell_stopping(struct opener *opener)
{
	opener->ready_untold = false;
	tell_status(opener, "STOPPING=1\n");
}

/* --- connections ------------------------------------------------------------------------------------------- */

static void set_listening(struct opener *opener, bool listening)
{
	for (size_t i = 0; i < opener->n_listeners; i++)
		(void)sd_event_source_set_enabled(opener->listeners[i], listening ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void idle_changed(struct opener *opener)
{
	if (opener->n_connections == 0 && opener->options.exit_idle_usec > 0)
		loop_arm(&opener->loop, opener->idle, opener->options.exit_idle_usec);
	else
		disarm(opener->idle);
}

static void on_served(struct peer_owner *owner)
{
	status_changed(opener_of(owner));
}

static void on_faulty(struct peer_owner *owner, const char *why)
{
	struct opener *opener = opener_of(owner);

	if (complaint_is_due(&opener->repeating))
		record_message(opener->recorder, LOG_WARNING, "porterd sent a request that it must not send: %s",
			       why);
}

static void on_unsent(struct peer_owner *owner, uint32_t count)
{
	record_message(opener_of(owner)->recorder, LOG_WARNING, "%" PRIu32 " files whose records say granted were not handed "
		       "out: the answer had to wait for porterd, and could not be sent", count);
}

static void on_closed(struct peer_owner *owner)
{
	struct opener *opener = opener_of(owner);

	opener->n_connections--;
	status_changed(opener);
	if (owner->stopping) {
		if (opener->n_connections == 0)
			loop_finish(&opener->loop);
		return;
	}
	if (opener->n_connections == opener->connections_max - 1)
		set_listening(opener, true);
	idle_changed(opener);
}

static int on_resume(sd_event_source *source, uint64_t usec, void *data)
{
	struct opener *opener = data;

	(void)source;
	(void)usec;
	if (!peers_resume(&opener->owner))
		loop_arm(&opener->loop, opener->resume, PAUSE_USEC);
	if (!opener->owner.stopping && opener->n_connections < opener->connections_max)
		set_listening(opener, true);
	return 0;
}

/* Lets new connections wait where they are, in the kernel's queue, for a moment. Without, a queue that can't
 * be emptied for want of descriptors would wake the loop for ever. */
static void pause_listening(struct opener *opener, const char *why)
{
	set_listening(opener, false);
	if (complaint_is_due(&opener->repeating)) {
		record_begin(opener->recorder, LOG_WARNING, MESSAGE_ID_PAUSED);
		record_format(opener->recorder, "MESSAGE", "New connections wait: %s", why);
		(void)record_submit(opener->recorder);
	}
}

/* For a moment: what is missing comes back by itself, or not at all. */
static void pause_shortly(struct opener *opener, int error)
{
	pause_listening(opener, strerror(error));
	loop_arm(&opener->loop, opener->resume, PAUSE_USEC);
}

static void on_paused(struct peer_owner *owner, int error)
{
	pause_shortly(opener_of(owner), -error);
}

/* The socket's mode keeps others out. Whoever comes nevertheless does not come by a mistake of their own. */
static bool is_porterd(struct opener *opener, int fd)
{
	struct ucred credentials = { .uid = (uid_t)-1 };

	if (sockopt_peer_credentials(fd, &credentials) >= 0)
		for (size_t i = 0; i < opener->options.n_users; i++)
			if (credentials.uid == opener->options.users[i])
				return true;

	if (complaint_is_due(&opener->repeating))
		record_message(opener->recorder, LOG_WARNING, "A connection of uid %u, pid %d was closed: only porterd "
			       "may ask the opener", credentials.uid, credentials.pid);
	return false;
}

static int on_connection(sd_event_source *source, int listener, uint32_t events, void *data)
{
	struct opener *opener = data;
	_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	(void)source;
	(void)events;
	if (fd < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return 0;
		pause_shortly(opener, errno);
		return 0;
	}
	if (!is_porterd(opener, fd))
		return 0;

	r = peer_new(&opener->owner, TAKE_FD(fd));
	if (r < 0) {
		pause_shortly(opener, -r);
		return 0;
	}
	opener->n_connections++;
	if (opener->n_connections == opener->connections_max)
		pause_listening(opener, "there are as many as may be");
	idle_changed(opener);
	status_changed(opener);
	return 0;
}

/* --- signals and ends -------------------------------------------------------------------------------------- */

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct opener *opener = data;

	(void)source;
	(void)info;
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
	policy_renew(&opener->policy, &opener->options.source, opener->recorder);
	opener->service.policy = opener->policy;
	tell_ready(opener);
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

	tell_stopping(opener);
	opener->owner.stopping = true;
	set_listening(opener, false);
	disarm(opener->idle);
	loop_arm(&opener->loop, opener->stop, STOP_USEC);
	peers_drain(&opener->owner);
	if (opener->n_connections == 0)
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
	if (opener->n_connections > 0)
		return 0;
	tell_stopping(opener);
	loop_finish(&opener->loop);
	return 0;
}

static int add_sources(struct opener *opener)
{
	int r = loop_open(&opener->loop);

	if (r >= 0)
		r = sd_event_add_signal(opener->loop.event, &opener->signals[0], SIGTERM, on_stop, opener);
	if (r >= 0)
		r = sd_event_add_signal(opener->loop.event, &opener->signals[1], SIGINT, on_stop, opener);
	if (r >= 0)
		r = sd_event_add_signal(opener->loop.event, &opener->signals[2], SIGHUP, on_reload, opener);
	if (r >= 0)
		r = loop_timer_new(opener->loop.event, &opener->resume, on_resume, opener);
	if (r >= 0)
		r = loop_timer_new(opener->loop.event, &opener->status, on_status, opener);
	if (r >= 0)
		r = loop_timer_new(opener->loop.event, &opener->stop, on_stop_late, opener);
	if (r >= 0)
		r = loop_timer_new(opener->loop.event, &opener->idle, on_idle, opener);
	/* A connection that waits to be accepted comes before the end. */
	if (r >= 0)
		r = sd_event_source_set_priority(opener->idle, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_set_watchdog(opener->loop.event, true);
	return r;
}

/* What leaves descriptors for the files of a request and for looking at them. */
static size_t find_connections_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= RESERVED_FDS)
		return 1;
	return MIN_OF(limit.rlim_cur - RESERVED_FDS, (rlim_t)OPENER_CONNECTIONS_MAX);
}

int opener_new(struct opener **ret, struct recorder *recorder, const struct opener_options *options)
{
	_cleanup_(cleanup_opener) struct opener *opener = calloc(1, sizeof(*opener));
	int r;

	if (!opener)
		return -ENOMEM;
	opener->recorder = recorder;
	opener->options = *options;
	opener->service.recorder = recorder;
	opener->service.refusals = &opener->refusals;
	opener->service.sockets = options->sockets;
	opener->connections_max = find_connections_max();

	r = clients_new(&opener->service.clients);
	if (r >= 0)
		r = copies_new(&opener->service.copies);
	if (r >= 0)
		r = add_sources(opener);
	if (r >= 0)
		r = policy_begin(&opener->policy, &opener->options.source, recorder);
	if (r < 0)
		return r;
	opener->service.policy = opener->policy;

	opener->owner = (struct peer_owner){
		.loop = &opener->loop,
		.service = &opener->service,
		.request = &opener->request,
		.scratch = &opener->scratch,
		.served = on_served,
		.faulty = on_faulty,
		.unsent = on_unsent,
		.closed = on_closed,
		.paused = on_paused,
	};
	*ret = TAKE_POINTER(opener);
	return 0;
}

int opener_add_listener(struct opener *opener, int fd)
{
	sd_event_source *source = NULL;
	int r;

	if (opener->n_listeners == OPENER_LISTENERS_MAX) {
		fd_close(fd);
		return -ENOSPC;
	}
	r = sd_event_add_io(opener->loop.event, &source, fd, EPOLLIN, on_connection, opener);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	(void)sd_event_source_set_io_fd_own(source, true);
	opener->listeners[opener->n_listeners++] = source;
	return 0;
}

int opener_run(struct opener *opener)
{
	int r;

	tell_ready(opener);
	idle_changed(opener);
	r = loop_run(&opener->loop, NULL, NULL);
	(void)tell_untold(opener);
	return r;
}

struct opener *opener_free(struct opener *opener)
{
	if (!opener)
		return NULL;

	peers_free(&opener->owner);
	for (size_t i = 0; i < opener->n_listeners; i++)
		sd_event_source_disable_unref(opener->listeners[i]);
	for (size_t i = 0; i < ELEMENTSOF(opener->signals); i++)
		sd_event_source_disable_unref(opener->signals[i]);
	sd_event_source_disable_unref(opener->resume);
	sd_event_source_disable_unref(opener->idle);
	sd_event_source_disable_unref(opener->status);
	sd_event_source_disable_unref(opener->stop);
	loop_close(&opener->loop);
	policy_free(opener->policy);
	clients_free(opener->service.clients);
	copies_free(opener->service.copies);
	free(opener);
	return NULL;
}
