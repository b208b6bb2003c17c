/* SPDX-License-Identifier: MIT
 *
 * The daemon as a whole: its timers, limits, and how it ends.
 */
#include "porterd/server.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "kernel/fdset.h"
#include "kernel/sockio.h"
#include "kernel/sockopt.h"
#include "porterd/connection.h"
#include "porterd/descriptors.h"
#include "porterd/handover.h"
#include "porterd/opener_client.h"
#include "porterd/restart.h"
#include "porterd/status.h"
#include "porterd/worker.h"
#include "record/message_id.h"

/* While something goes on: how often the status is told, and everything looked after that is late. */
#define TICK_USEC USEC_PER_SEC
/* How long listeners rest after the kernel had nothing to give. */
#define PAUSE_USEC (100 * USEC_PER_MSEC)
/* Full listeners start again when so many connections have gone. */
#define FULL_HYSTERESIS 16

int server_buffer_open(struct server_buffer *buffer)
{
	size_t size = sockopt_packet_max();
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED)
		return -errno;
	*buffer = (struct server_buffer){ .data = data, .size = size };
	return 0;
}

int server_batch_open(struct server *server)
{
	size_t size = server->buffer.size * SOCKIO_DATAGRAMS_MAX;
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (data == MAP_FAILED)
		return -errno;
	server->batch = (struct server_buffer){ .data = data, .size = size };
	return 0;
}

void server_buffer_close(struct server_buffer *buffer)
{
	if (buffer->data)
		(void)munmap(buffer->data, buffer->size);
	*buffer = (struct server_buffer){ 0 };
}

static void arm(struct server *server, sd_event_source *source, uint64_t usec)
{
	(void)sd_event_source_set_time_relative(source, usec);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	loop_event_changed(&server->loop);
}

/* The others may come early: the library counts from when it woke up last. This one must not. */
static void set_deadline(struct server *server, uint64_t usec)
{
	loop_arm(&server->loop, server->deadline, usec);
}

/* Tells systemd, or the supervisor where there is one. */
static void tell_status(struct server *server)
{
	struct status status;

	if (server->worker) {
		worker_tell_status(server->worker);
		return;
	}
	status_take(&status, server);
	status_tell(&status, "");
}

static void tell_state(struct server *server, enum worker_state state)
{
	if (server->worker)
		worker_tell(server->worker, state);
	else if (state == WORKER_SERVING)
		server->told_ready = sd_notify(false, "READY=1") >= 0;
	else if (state != WORKER_IDLE)
		(void)sd_notify(false, "STOPPING=1");
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;
	bool unfinished;

	(void)source;
	(void)usec;
	server->ticking = false;
	server->active = false;

	unfinished = opener_client_tick(server->opener);
	unfinished |= patience_tick(server);
	unfinished |= !recorder_flush(server->recorder);
	tell_status(server);
	/* Else the service manager would wait for it, and at last give up. */
	if (!server->worker && !server->told_ready && !server->draining) {
		tell_state(server, WORKER_SERVING);
		unfinished |= !server->told_ready;
	}

	if (unfinished)
		server->active = true;
	else if (server->n_connections == 0 && server->options.idle_usec > 0 && !server->single)
		arm(server, server->idle, server->options.idle_usec);
	return 0;
}

static void drain_connections(struct server *server)
{
	for (struct connection *c = server->connections; c; c = c->next)
		connection_drain(c);
	set_deadline(server, SERVER_DRAIN_SECONDS * USEC_PER_SEC);
	server_connections_changed(server);
}

static void finish_handing_over(struct server *server)
{
	server->handing_over = false;
	handover_give(server);
	for (struct connection *c = server->connections, *next; c; c = next) {
		next = c->next;
		connection_take_up(c);
	}
	drain_connections(server);
}

/* After each round of events. */
static void after_round(void *userdata)
{
	struct server *server = userdata;

	if (server->handing_over && server->n_waiting == 0 && !opener_client_is_asked(server->opener))
		finish_handing_over(server);

	if (server->active && !server->ticking) {
		server->ticking = true;
		arm(server, server->tick, TICK_USEC);
		if (server->worker)
			worker_is_busy(server->worker);
	}
}

static void for_each_listener(struct server *server, void (*function)(struct listener *listener))
{
	for (struct listener *l = server->listeners; l; l = l->next)
		function(l);
}

void server_for_each_acceptor(struct server *server, void (*function)(struct listener *listener))
{
	for (struct listener *l = server->listeners; l; l = l->next)
		if (!l->answers)
			function(l);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)usec;
	if (server->n_connections > 0 || server->active)
		return 0;
	/* Nothing is taken from the sockets after this. They stay open in systemd, which starts the next
	 * porterd as soon as somebody is waiting in one of them. */
	if (!server->worker)
		server_drain(server);
	else
		tell_state(server, WORKER_IDLE);
	return 0;
}

static int on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)usec;
	for (struct listener *l = server->listeners; l; l = l->next)
		if (!server->draining && (l->answers || !server->full))
			listener_resume(l);
	for (struct connection *c = server->connections; c; c = c->next)
		connection_resume(c);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)usec;
	if (server->handing_over) {
		finish_handing_over(server);
		return 0;
	}
	record_message(server->recorder, LOG_WARNING, "Stopping with %zu connections that did not read their answers",
		       server->n_connections);
	loop_finish(&server->loop);
	return 0;
}

static void apply_settings(struct server *server)
{
	const struct config *config = &server->options.config;

	server->loop.busy_poll_usec = config->busy_poll_usec;
	server->connections_max = config->connections_max ? config->connections_max : SERVER_CONNECTIONS_MAX;
	quota_set(&server->quota, server->connections_max, &config->quota);
	patience_set(&server->patience, &config->patience);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct server *server = userdata;
	uint32_t settings = server->worker ? worker_settings(server->worker) : 0;

	(void)source;
	(void)info;
	if (!server->options.renew || server->draining)
		return 0;
	if (!server->worker)
		(void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
	server->options.renew(&server->options.config, server->options.userdata);
	apply_settings(server);
	/* Those who wait need not wait until many have gone. */
	if (server->full && server->n_connections < server->connections_max) {
		server->full = false;
		server_resume_acceptors(server);
	}
	server_connections_changed(server);
	if (server->worker)
		worker_tell_settings(server->worker, settings);
	else
		tell_state(server, WORKER_SERVING);
	return 0;
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct server *server = userdata;
	int r;

	(void)source;
	(void)info;
	if (server->draining)
		return 0;
	/* The supervisor has asked already, and says it by another signal. */
	r = server->n_connections > 0 && !server->single && !server->worker ? restart_follows(&server->store_room) : 0;
	if (r < 0)
		record_message(server->recorder, LOG_NOTICE,
			       "Can't tell a restart from a stop, so connections end: %s", strerror(-r));
	if (r > 0)
		server_hand_over(server);
	else
		server_drain(server);
	return 0;
}

static void complain(struct server *server, const char *why)
{
	if (!complaint_is_due(&server->pause))
		return;
	record_begin(server->recorder, LOG_WARNING, MESSAGE_ID_PAUSED);
	record_format(server->recorder, "MESSAGE", "New clients wait: %s, with %zu connections", why,
		      server->n_connections);
	(void)record_submit(server->recorder);
}

void server_pause(struct server *server, int error)
{
	server_for_each_acceptor(server, listener_pause);
	arm(server, server->resume, PAUSE_USEC);
	complain(server, strerror(error));
}

static size_t hysteresis(const struct server *server)
{
	return MIN_OF((size_t)FULL_HYSTERESIS, server->connections_max / 2 + 1);
}

void server_resume_acceptors(struct server *server)
{
	if (!server->draining && !server->full)
		server_for_each_acceptor(server, listener_resume);
}

void server_connections_changed(struct server *server)
{
	server->active = true;
	if (server->worker)
		worker_connections_changed(server->worker);

	if (server->draining || server->single) {
		if (server->n_connections == 0 && server->n_waiting == 0)
			loop_finish(&server->loop);
		return;
	}

	if (!server->full && server->n_connections >= server->connections_max) {
		server->full = true;
		server_for_each_acceptor(server, listener_pause);
		complain(server, "there are as many as may be");
	} else if (server->full && server->n_connections + hysteresis(server) <= server->connections_max) {
		server->full = false;
		server_resume_acceptors(server);
	}
}

/* The beginning of the end, in either way. */
static void stop_listening(struct server *server)
{
	server->draining = true;
	tell_state(server, WORKER_STOPPING);
	for_each_listener(server, listener_pause);
}

void server_drain(struct server *server)
{
	if (server->draining)
		return;
	stop_listening(server);
	drain_connections(server);
}

void server_hand_over(struct server *server)
{
	if (server->draining)
		return;
	stop_listening(server);
	server->handing_over = true;
	set_deadline(server, HANDOVER_FINISH_SECONDS * USEC_PER_SEC);
}

/* Of all that this process may hold, a part is for descriptors on their way to clients: if these do not take them,
 * the others are still accepted and served. */
static size_t descriptors_budget(const struct worker *worker)
{
	struct rlimit limit;
	size_t quarter = getrlimit(RLIMIT_NOFILE, &limit) < 0 ? FDSET_MAX : (size_t)limit.rlim_cur / 4, part, least;

	if (!worker)
		return quarter;
	/* What is under way counts for the user, whichever process has sent it. But one request must not take so much of a
	 * worker's part that others find nothing: so all together may come up to a half. */
	part = quarter / worker->crew->count;
	least = MIN_OF((size_t)DESCRIPTORS_LEAST, 2 * part);
	return MAX_OF(part, least);
}

static int add_signals(struct server *server)
{
	static const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = { { SIGTERM, on_terminate }, { SIGINT, on_terminate }, { SIGHUP, on_reload } };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaddset(&set, signals[i].number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;

	for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
		int r = sd_event_add_signal(server->loop.event, NULL, signals[i].number, signals[i].handler,
					    server);

		if (r < 0)
			return r;
	}
	return 0;
}

int server_open(struct server *server, const struct server_options *options, struct recorder *recorder)
{
	int r;

	*server = (struct server){
		.recorder = recorder,
		.worker = options->worker,
		.options = *options,
	};
	descriptors_init(server, descriptors_budget(options->worker));

	r = loop_open(&server->loop);
	apply_settings(server);
	if (r >= 0)
		r = server_buffer_open(&server->buffer);
	if (r >= 0)
		r = opener_client_new(&server->opener, server, options->opener_path);
	if (r >= 0)
		r = add_signals(server);
	if (r >= 0)
		r = loop_timer_new(server->loop.event, &server->tick, on_tick, server);
	if (r >= 0)
		r = loop_timer_new(server->loop.event, &server->idle, on_idle, server);
	if (r >= 0)
		r = loop_timer_new(server->loop.event, &server->resume, on_resume, server);
	if (r >= 0)
		r = loop_timer_new(server->loop.event, &server->deadline, on_deadline, server);
	if (r >= 0)
		r = options->worker ? worker_open(options->worker, server) :
				      sd_event_set_watchdog(server->loop.event, true);
	if (r < 0)
		server_close(server);
	return r < 0 ? r : 0;
}

void server_close(struct server *server)
{
	/* No callback of a connection that goes now may find the loop gone. */
	while (server->connections)
		connection_close(server->connections);
	while (server->listeners) {
		struct listener *listener = server->listeners;

		server->listeners = listener->next;
		listener_free(listener);
	}
	opener_client_free(server->opener);
	server_buffer_close(&server->buffer);
	server_buffer_close(&server->batch);
	pipe_pool_clear(&server->pipes);
	worker_close(server->worker);
	sd_event_source_unref(server->tick);
	sd_event_source_unref(server->idle);
	sd_event_source_unref(server->resume);
	sd_event_source_unref(server->deadline);
	loop_close(&server->loop);
}

int server_run(struct server *server)
{
	int r;

	server->active = true;
	after_round(server);
	tell_state(server, WORKER_SERVING);
	tell_status(server);

	r = loop_run(&server->loop, after_round, server);
	tell_status(server);
	(void)recorder_flush(server->recorder);
	return r;
}
