/* SPDX-License-Identifier: MIT
 *
 * The opener at work: who may connect, when to read the policy anew, when to stop, what to tell.
 */
#include "opener/server.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "kernel/sockopt.h"
#include "opener/connection.h"
#include "record/message_id.h"

#define PAUSE_USEC (100 * USEC_PER_MSEC)
#define STATUS_USEC USEC_PER_SEC
#define STOP_USEC (5 * USEC_PER_SEC)
#define RESERVED_FDS ((rlim_t)2 * FDSET_MAX + 64)

struct server {
	struct connection_owner owner;
	struct request_service service;
	struct response scratch;

	struct recorder *recorder;
	struct server_options options;
	struct policy *policy;

	sd_event *event;
	sd_event_source *signals[3];
	sd_event_source *listeners[SERVER_LISTENERS_MAX];
	size_t n_listeners;
	sd_event_source *resume, *idle, *status, *stop;
	size_t n_connections, connections_max;

	char told[256]; /* the status that the service manager knows */
	struct complaint repeating;
};

static struct server *server_of(struct connection_owner *owner)
{
	return CONTAINER_OF(owner, struct server, owner);
}

static void arm(sd_event_source *timer, uint64_t usec)
{
	if (sd_event_source_set_time_relative(timer, usec) >= 0)
		(void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void disarm(sd_event_source *timer)
{
	(void)sd_event_source_set_enabled(timer, SD_EVENT_OFF);
}

/* --- status ------------------------------------------------------------------------------------------------ */

static void tell_status(struct server *server, const char *state)
{
	char status[sizeof(server->told)];

	(void)snprintf(status, sizeof(status),
		       "connections: %zu, requests: %" PRIu64 ", granted: %" PRIu64 ", refused: %" PRIu64
		       ", dropped-records: %" PRIu64 ", files: %zu",
		       server->n_connections, server->service.requests, server->service.granted,
		       server->service.refused, recorder_counts(server->recorder).dropped,
		       server->policy->n_granted);
	if (state[0] == '\0' && strcmp(status, server->told) == 0)
		return;
	memcpy(server->told, status, sizeof(status));
	(void)sd_notifyf(0, "%sSTATUS=%s", state, status);
}

/* Something of the status may have changed: tell it within a second, together with what else changes then. */
static void status_changed(struct server *server)
{
	int enabled = SD_EVENT_OFF;

	if (sd_event_source_get_enabled(server->status, &enabled) >= 0 && enabled == SD_EVENT_OFF)
		arm(server->status, STATUS_USEC);
}

static int on_status(sd_event_source *source, uint64_t usec, void *data)
{
	struct server *server = data;

	(void)source;
	(void)usec;
	tell_status(server, "");
	if (!recorder_flush(server->recorder))
		status_changed(server);
	return 0;
}

/* --- connections ------------------------------------------------------------------------------------------- */

static void set_listening(struct server *server, bool listening)
{
	for (size_t i = 0; i < server->n_listeners; i++)
		(void)sd_event_source_set_enabled(server->listeners[i], listening ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void idle_changed(struct server *server)
{
	if (server->n_connections == 0 && server->options.exit_idle_usec > 0)
		arm(server->idle, server->options.exit_idle_usec);
	else
		disarm(server->idle);
}

static void on_served(struct connection_owner *owner)
{
	status_changed(server_of(owner));
}

static void on_faulty(struct connection_owner *owner, const char *why)
{
	struct server *server = server_of(owner);

	if (complaint_is_due(&server->repeating))
		record_message(server->recorder, LOG_WARNING, "porterd sent a request that it must not send: %s",
			       why);
}

static void on_closed(struct connection_owner *owner)
{
	struct server *server = server_of(owner);

	server->n_connections--;
	status_changed(server);
	if (owner->stopping) {
		if (server->n_connections == 0)
			(void)sd_event_exit(server->event, 0);
		return;
	}
	if (server->n_connections == server->connections_max - 1)
		set_listening(server, true);
	idle_changed(server);
}

static int on_resume(sd_event_source *source, uint64_t usec, void *data)
{
	struct server *server = data;

	(void)source;
	(void)usec;
	if (!server->owner.stopping && server->n_connections < server->connections_max)
		set_listening(server, true);
	return 0;
}

/* Lets new connections wait where they are, in the kernel's queue, for a moment. Without, a queue that can't
 * be emptied for want of descriptors would wake the loop for ever. */
static void pause_listening(struct server *server, const char *why)
{
	set_listening(server, false);
	if (complaint_is_due(&server->repeating)) {
		record_begin(server->recorder, LOG_WARNING, MESSAGE_ID_PAUSED);
		record_format(server->recorder, "MESSAGE", "New connections wait: %s", why);
		(void)record_submit(server->recorder);
	}
}

/* The socket's mode keeps others out. Whoever comes nevertheless does not come by a mistake of their own. */
static bool is_porterd(struct server *server, int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };

	if (sockopt_peer_credentials(fd, &peer) >= 0)
		for (size_t i = 0; i < server->options.n_users; i++)
			if (peer.uid == server->options.users[i])
				return true;

	record_message(server->recorder, LOG_WARNING, "A connection of uid %u, pid %d was closed: only porterd may "
		       "ask the opener", peer.uid, peer.pid);
	return false;
}

static int on_connection(sd_event_source *source, int listener, uint32_t events, void *data)
{
	struct server *server = data;
	_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)events;
	if (fd < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return 0;
		pause_listening(server, strerror(errno));
		arm(server->resume, PAUSE_USEC);
		return 0;
	}
	if (!is_porterd(server, fd))
		return 0;

	if (connection_new(&server->owner, TAKE_FD(fd)) < 0) {
		pause_listening(server, "out of memory");
		arm(server->resume, PAUSE_USEC);
		return 0;
	}
	server->n_connections++;
	if (server->n_connections == server->connections_max)
		pause_listening(server, "there are as many as may be");
	idle_changed(server);
	status_changed(server);
	return 0;
}

/* --- policy ------------------------------------------------------------------------------------------------ */

static void on_policy_error(const struct policy_error *error, void *data)
{
	struct server *server = data;

	record_begin(server->recorder, LOG_ERR, MESSAGE_ID_POLICY_ERROR);
	record_field(server->recorder, "MESSAGE", error->message);
	record_field(server->recorder, "CONFIG_FILE", error->file);
	if (error->line > 0)
		record_number(server->recorder, "CONFIG_LINE", error->line);
	(void)record_submit(server->recorder);
}

static void record_policy(struct server *server)
{
	record_begin(server->recorder, LOG_INFO, MESSAGE_ID_POLICY_LOADED);
	record_format(server->recorder, "MESSAGE", "The policy was read: %zu files may be granted, %zu never",
		      server->policy->n_granted, server->policy->n_grants - server->policy->n_granted);
	(void)record_submit(server->recorder);
}

static int load_policy(struct server *server)
{
	int r = policy_load(&server->policy, &server->options.source, on_policy_error, server);

	if (r < 0)
		return r;
	server->service.policy = server->policy;
	record_policy(server);
	return 0;
}

static void reload_policy(struct server *server)
{
	_cleanup_(cleanup_policy) struct policy *policy = NULL, *old = NULL;
	int r = policy_load(&policy, &server->options.source, on_policy_error, server);

	if (r < 0 || policy->n_errors > 0) {
		record_begin(server->recorder, LOG_ERR, MESSAGE_ID_POLICY_ERROR);
		record_format(server->recorder, "MESSAGE", "The policy was not changed, because %s",
			      r < 0 ? strerror(-r) : "what was read has errors");
		(void)record_submit(server->recorder);
		return;
	}
	old = server->policy;
	server->policy = TAKE_POINTER(policy);
	server->service.policy = server->policy;
	record_policy(server);
}

/* --- signals and ends -------------------------------------------------------------------------------------- */

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct server *server = data;

	(void)source;
	(void)info;
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
	reload_policy(server);
	tell_status(server, "READY=1\n");
	return 0;
}

static int on_stop_late(sd_event_source *source, uint64_t usec, void *data)
{
	struct server *server = data;

	(void)source;
	(void)usec;
	return sd_event_exit(server->event, 0);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct server *server = data;

	(void)source;
	(void)info;
	if (server->owner.stopping)
		return 0;

	tell_status(server, "STOPPING=1\n");
	server->owner.stopping = true;
	set_listening(server, false);
	disarm(server->idle);
	arm(server->stop, STOP_USEC);
	connections_drain(&server->owner);
	return server->n_connections == 0 ? sd_event_exit(server->event, 0) : 0;
}

/* Whoever connects just now is in the listening socket's queue, which the service manager holds too: it
 * starts the next opener for them. */
static int on_idle(sd_event_source *source, uint64_t usec, void *data)
{
	struct server *server = data;

	(void)source;
	(void)usec;
	if (server->n_connections > 0)
		return 0;
	tell_status(server, "STOPPING=1\n");
	return sd_event_exit(server->event, 0);
}

static int add_timer(struct server *server, sd_event_source **ret, sd_event_time_handler_t handler)
{
	int r = sd_event_add_time(server->event, ret, CLOCK_MONOTONIC, UINT64_MAX, USEC_PER_MSEC, handler, server);

	if (r >= 0)
		disarm(*ret);
	return r;
}

static int add_sources(struct server *server)
{
	int r = sd_event_default(&server->event);

	if (r >= 0)
		r = sd_event_add_signal(server->event, &server->signals[0], SIGTERM, on_stop, server);
	if (r >= 0)
		r = sd_event_add_signal(server->event, &server->signals[1], SIGINT, on_stop, server);
	if (r >= 0)
		r = sd_event_add_signal(server->event, &server->signals[2], SIGHUP, on_reload, server);
	if (r >= 0)
		r = add_timer(server, &server->resume, on_resume);
	if (r >= 0)
		r = add_timer(server, &server->status, on_status);
	if (r >= 0)
		r = add_timer(server, &server->stop, on_stop_late);
	if (r >= 0)
		r = add_timer(server, &server->idle, on_idle);
	/* A connection that waits to be accepted comes before the end. */
	if (r >= 0)
		r = sd_event_source_set_priority(server->idle, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_set_watchdog(server->event, true);
	return r;
}

/* As many as leave descriptors for the files of a request and for looking at them. */
static size_t find_connections_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= RESERVED_FDS)
		return 1;
	return MIN_OF(limit.rlim_cur - RESERVED_FDS, (rlim_t)SERVER_CONNECTIONS_MAX);
}

int server_new(struct server **ret, struct recorder *recorder, const struct server_options *options)
{
	_cleanup_(cleanup_server) struct server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->recorder = recorder;
	server->options = *options;
	server->service.recorder = recorder;
	server->service.sockets = options->sockets;
	server->connections_max = find_connections_max();

	r = add_sources(server);
	if (r >= 0)
		r = load_policy(server);
	if (r < 0)
		return r;

	server->owner = (struct connection_owner){
		.event = server->event,
		.service = &server->service,
		.scratch = &server->scratch,
		.served = on_served,
		.faulty = on_faulty,
		.closed = on_closed,
	};
	*ret = TAKE_POINTER(server);
	return 0;
}

int server_add_listener(struct server *server, int fd)
{
	sd_event_source *source = NULL;
	int r;

	if (server->n_listeners == SERVER_LISTENERS_MAX) {
		fd_close(fd);
		return -ENOSPC;
	}
	r = sd_event_add_io(server->event, &source, fd, EPOLLIN, on_connection, server);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	(void)sd_event_source_set_io_fd_own(source, true);
	server->listeners[server->n_listeners++] = source;
	return 0;
}

int server_run(struct server *server)
{
	tell_status(server, "READY=1\n");
	idle_changed(server);
	return sd_event_loop(server->event);
}

struct server *server_free(struct server *server)
{
	if (!server)
		return NULL;

	connections_free(&server->owner);
	for (size_t i = 0; i < server->n_listeners; i++)
		sd_event_source_disable_unref(server->listeners[i]);
	for (size_t i = 0; i < ELEMENTSOF(server->signals); i++)
		sd_event_source_disable_unref(server->signals[i]);
	sd_event_source_disable_unref(server->resume);
	sd_event_source_disable_unref(server->idle);
	sd_event_source_disable_unref(server->status);
	sd_event_source_disable_unref(server->stop);
	sd_event_unref(server->event);
	policy_free(server->policy);
	free(server);
	return NULL;
}
