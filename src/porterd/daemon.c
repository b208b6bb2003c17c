/* SPDX-License-Identifier: MIT
 *
 * The daemon as a whole: its timers, signals, and how it ends.
 */
#include "porterd/daemon.h"

#include <signal.h>

#include "base/clock.h"
#include "kernel/sockopt.h"
#include "porterd/budget.h"
#include "serve/connection.h"
#include "serve/listener.h"

/* While something goes on: how often the status is told, and everything looked after that is late. */
#define TICK_USEC USEC_PER_SEC

static void tell(struct daemon *daemon, enum daemon_state state)
{
	bool told = daemon->master->operations->tell(daemon->master, state);

	if (state == DAEMON_SERVING)
		daemon->told_ready = told;
}

static void tell_counts(const struct daemon *daemon)
{
	struct counts counts;

	population_count(&daemon->population, &counts);
	daemon->master->operations->tell_counts(daemon->master, &counts);
}

static void apply_settings(struct daemon *daemon)
{
	const struct config *config = &daemon->options.config;
	struct population *population = &daemon->population;

	daemon->times = times_of(config);
	daemon->master->stop_usec = daemon->times.whole_usec;
	daemon->loop.busy_poll_usec = config->busy_poll_usec;
	quota_set(&population->quota, config->connections_max, &config->quota);
	patience_set(&population->patience, &config->patience);
	if (daemon->single)
		population->unread.processes = quota_user_connections(config->connections_max, &config->quota);
	gate_set_max(&daemon->gate, config->connections_max);
}

/* --- while it serves --------------------------------------------------------------------------------------- */

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct daemon *daemon = userdata;
	struct population *population = &daemon->population;
	uint64_t idle_usec = daemon->options.idle_usec;
	bool unfinished = population->active;

	(void)source;
	(void)usec;
	daemon->ticking = false;
	population->active = false;

	unfinished |= opener_client_tick(daemon->services.opener);
	unfinished |= patience_tick(&population->patience);
	unfinished |= !recorder_flush(population->recorder);
	tell_counts(daemon);
	/* Else the service manager would wait for it, and at last give up. */
	if (!daemon->told_ready && !population->closing) {
		tell(daemon, DAEMON_SERVING);
		unfinished |= !daemon->told_ready;
	}

	/* Otherwise nothing has happened since the timer was armed, and none of these has closed a connection. */
	unfinished |= population->active;
	population->active = unfinished;
	if (!unfinished && population->n_connections == 0 && idle_usec > 0 && !daemon->single)
		loop_arm(&daemon->loop, daemon->idle, idle_usec > TICK_USEC ? idle_usec - TICK_USEC : 0);
	return 0;
}

static bool is_idle(const struct daemon *daemon)
{
	return daemon->population.n_connections == 0 && !daemon->population.active && !daemon->ticking;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)source;
	(void)usec;
	if (!is_idle(daemon))
		return 0;
	/* Nothing is taken from the sockets after this. They stay open in systemd, which starts the next
	 * porterd as soon as somebody is waiting in one of them. */
	if (daemon->master->stops_idle)
		daemon_drain(daemon);
	else
		tell(daemon, DAEMON_IDLE);
	return 0;
}

static void close_late(struct patience_entry *entry)
{
	struct connection *connection = CONTAINER_OF(entry, struct connection, patience);

	connection->population->counts.of[COUNT_LATE]++;
	connection_close(connection);
}

static void connections_changed(struct population *population)
{
	struct daemon *daemon = CONTAINER_OF(population, struct daemon, population);

	population->active = true;
	daemon->master->operations->connections_changed(daemon->master);
	if (!population->closing && !daemon->single)
		gate_connections_changed(&daemon->gate);
	else if (population->n_connections == 0 && population->n_waiting == 0)
		loop_finish(&daemon->loop);
}

static void shortage(struct population *population, int error)
{
	gate_pause(&CONTAINER_OF(population, struct daemon, population)->gate, error);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *daemon = userdata;
	struct master *master = daemon->master;

	(void)source;
	(void)info;
	if (!daemon->options.renew || daemon->population.closing)
		return 0;
	master->operations->begin_reload(master);
	daemon->options.renew(&daemon->options.config, daemon->options.userdata);
	apply_settings(daemon);
	connections_changed(&daemon->population);
	daemon->told_ready = master->operations->end_reload(master);
	return 0;
}

/* --- the end ----------------------------------------------------------------------------------------------- */

/* The beginning of it, in either way. */
static void stop_listening(struct daemon *daemon)
{
	gate_shut(&daemon->gate);
	tell(daemon, DAEMON_STOPPING);
}

static void drain_connections(struct daemon *daemon)
{
	LIST_FOR_EACH(&daemon->population.connections, struct connection, connection, link)
		connection_drain(connection);
	loop_arm(&daemon->loop, daemon->deadline, daemon->times.drain_usec);
	connections_changed(&daemon->population);
}

void daemon_drain(struct daemon *daemon)
{
	if (daemon->population.closing)
		return;
	stop_listening(daemon);
	drain_connections(daemon);
}

/* Stops accepting and reading, finishes what was begun, and has systemd keep the connections for the next porterd.
 * Those that it can't keep are drained. */
static void hand_over(struct daemon *daemon)
{
	if (daemon->population.closing)
		return;
	stop_listening(daemon);
	daemon->population.frozen = true;
	loop_arm(&daemon->loop, daemon->deadline, daemon->times.finish_usec);
}

/* Each at least once, which is as good: to be ready for nothing changes nothing. One that is thawed may end another one, so
 * nobody but the first can be relied on to be in the list. */
static void thaw_connections(struct population *population)
{
	struct list *connections = &population->connections;

	for (size_t left = population->n_connections; left > 0 && connections->first; left--) {
		struct list_link *first = connections->first;

		list_remove(connections, first);
		list_append(connections, first);
		connection_thaw(LIST_ENTRY(first, struct connection, link));
	}
}

static void finish_handing_over(struct daemon *daemon)
{
	daemon->population.frozen = false;
	handover_give(&daemon->population, &daemon->master->way);
	thaw_connections(&daemon->population);
	drain_connections(daemon);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)source;
	(void)usec;
	if (daemon->population.frozen) {
		finish_handing_over(daemon);
		return 0;
	}
	record_message(daemon->population.recorder, LOG_WARNING,
		       "Stopping with %zu connections that did not read their answers", daemon->population.n_connections);
	loop_finish(&daemon->loop);
	return 0;
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *daemon = userdata;
	struct master *master = daemon->master;
	bool asks = daemon->population.n_connections > 0 && !daemon->single && !daemon->population.closing;
	int r = asks ? master->operations->restarts(master) : 0;

	(void)source;
	(void)info;
	if (r < 0)
		record_message(daemon->population.recorder, LOG_NOTICE,
			       "Can't tell a restart from a stop, so connections end: %s", strerror(-r));
	if (r > 0)
		hand_over(daemon);
	else
		daemon_drain(daemon);
	return 0;
}

static void order_hand_over(void *daemon)
{
	hand_over(daemon);
}

static void order_stop_if_idle(void *daemon)
{
	if (is_idle(daemon))
		daemon_drain(daemon);
}

/* After each round of events. */
static void after_round(void *userdata)
{
	struct daemon *daemon = userdata;
	struct population *population = &daemon->population;

	if (population->frozen && population->n_waiting == 0 && !opener_client_is_asked(daemon->services.opener))
		finish_handing_over(daemon);

	if (population->active && !daemon->ticking) {
		daemon->ticking = true;
		population->active = false;
		loop_arm(&daemon->loop, daemon->tick, TICK_USEC);
		daemon->master->operations->busy(daemon->master);
	}
}

/* --- setting up -------------------------------------------------------------------------------------------- */

static int add_signals(struct daemon *daemon)
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
		int r = sd_event_add_signal(daemon->loop.event, NULL, signals[i].number, signals[i].handler, daemon);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_timers(struct daemon *daemon)
{
	sd_event *event = daemon->loop.event;
	int r = loop_timer_new(event, &daemon->tick, on_tick, daemon);

	if (r >= 0)
		r = loop_timer_new(event, &daemon->idle, on_idle, daemon);
	if (r >= 0)
		r = loop_timer_new(event, &daemon->deadline, on_deadline, daemon);
	return r;
}

static int open_services(struct daemon *daemon)
{
	return services_open(&daemon->services, &daemon->population, daemon->options.opener_path);
}

static int open_gate(struct daemon *daemon)
{
	return gate_open(&daemon->gate, &daemon->population);
}

static int open_master(struct daemon *daemon)
{
	struct master *master = daemon->master;

	master->daemon = daemon;
	master->hand_over = order_hand_over;
	master->stop_if_idle = order_stop_if_idle;
	return master->operations->open(master, &daemon->gate);
}

int daemon_open(struct daemon *daemon, const struct daemon_options *options, struct master *master,
		struct recorder *recorder, const char **ret_what)
{
	static const struct population_owner owner = { .changed = connections_changed, .shortage = shortage };
	static const struct {
		const char *what;
		int (*open)(struct daemon *daemon);
	} steps[] = {
		{ "the way to the opener", open_services },
		{ "the gate's timer", open_gate },
		{ "signals", add_signals },
		{ "timers", add_timers },
		{ "signs of life", open_master },
	};
	int r;

	*daemon = (struct daemon){ .options = *options, .master = master };
	*ret_what = "an event loop";
	r = loop_open(&daemon->loop);
	if (r >= 0) {
		*ret_what = "a buffer to receive into";
		r = population_open(&daemon->population, &owner, &daemon->loop, recorder, budget_descriptors(master->count));
		daemon->population.patience.late = close_late;
	}
	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(steps); i++) {
		*ret_what = steps[i].what;
		r = steps[i].open(daemon);
	}
	if (r >= 0)
		apply_settings(daemon);
	else
		daemon_close(daemon);
	return r < 0 ? r : 0;
}

void daemon_close(struct daemon *daemon)
{
	struct population *population = &daemon->population;

	/* No callback of a connection that goes now may find the loop gone. */
	while (population->connections.first)
		connection_end(LIST_ENTRY(population->connections.first, struct connection, link));
	while (population->listeners.first)
		listener_free(LIST_ENTRY(population->listeners.first, struct listener, link));
	services_close(&daemon->services);
	daemon->master->operations->close(daemon->master);
	gate_close(&daemon->gate);
	population_close(population);
	sd_event_source_unref(daemon->tick);
	sd_event_source_unref(daemon->idle);
	sd_event_source_unref(daemon->deadline);
	loop_close(&daemon->loop);
}

int daemon_add_single(struct daemon *daemon, const struct protocol *protocol, int fd)
{
	(void)sockopt_refuse_rights(fd);
	daemon->single = true;
	apply_settings(daemon);
	return connection_add(&daemon->population, protocol, fd);
}

int daemon_run(struct daemon *daemon)
{
	int r;

	daemon->population.active = true;
	after_round(daemon);
	tell(daemon, DAEMON_SERVING);
	tell_counts(daemon);

	r = loop_run(&daemon->loop, after_round, daemon);
	tell_counts(daemon);
	(void)recorder_flush(daemon->population.recorder);
	return r;
}
