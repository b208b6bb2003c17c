/* SPDX-License-Identifier: MIT
 *
 * What the process that looks after workers decides: when porterd is ready, idle, stopping.
 */
#include "crew/supervisor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "crew/worker_slot.h"
#include "kernel/sockio.h"

/* The least time between two status lines, and the most between two signs of life. */
#define STATUS_USEC USEC_PER_SEC
#define SIGN_USEC USEC_PER_SEC
/* So long a reload waits for workers, one of which may be stopped. */
#define RELOAD_USEC USEC_PER_SEC
/* A worker without a sign of life for so long is killed, unless WatchdogSec= says how long. */
#define SILENCE_USEC (30 * USEC_PER_SEC)

struct supervisor {
	const struct supervisor_options *options;
	struct recorder *recorder;
	struct worker_slots workers;
	sd_event_source *watch, *status, *stop;
	bool ready, told_ready;
	bool reloading; /* and workers are waited for */
	uint64_t reload_end_usec;
	bool retiring; /* all were idle, and are to stop if they still are */
	bool stopping;
	bool handing_over, unstored; /* connections go to systemd; it did not take all of them */
	bool failed;
};

/* --- status ------------------------------------------------------------------------------------------------ */

static void tell_status(struct supervisor *supervisor)
{
	struct worker_slots *workers = &supervisor->workers;
	struct counts sum;
	char more[96];

	worker_slots_count(workers, &sum);
	sum.of[COUNT_DROPPED_RECORDS] += recorder_counts(supervisor->recorder).dropped;
	(void)snprintf(more, sizeof(more), ", workers: %zu, replaced: %llu", worker_slots_running(workers),
		       (unsigned long long)workers->replaced);
	supervisor->options->tell(&sum, more);
}

static void status_changed(struct supervisor *supervisor)
{
	if (!loop_timer_is_armed(supervisor->status))
		loop_timer_arm(supervisor->status, STATUS_USEC);
}

/* What the manager does not hear is told again: it would wait for it, and at last give up. */
static void tell_ready_if_due(struct supervisor *supervisor)
{
	if (!supervisor->ready || supervisor->told_ready || supervisor->reloading || supervisor->stopping)
		return;
	supervisor->told_ready = sd_notify(false, "READY=1") >= 0;
	if (!supervisor->told_ready)
		status_changed(supervisor);
}

/* systemctl returns when it is told, so first all workers go by the new settings. */
static void finish_reload(struct supervisor *supervisor)
{
	if (!worker_slots_have_settings(&supervisor->workers) && clock_now_usec() < supervisor->reload_end_usec)
		return;
	supervisor->reloading = false;
	tell_ready_if_due(supervisor);
}

static int on_status(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *supervisor = userdata;

	(void)source;
	(void)usec;
	tell_status(supervisor);
	tell_ready_if_due(supervisor);
	if (!recorder_flush(supervisor->recorder))
		status_changed(supervisor);
	return 0;
}

/* --- ends of workers --------------------------------------------------------------------------------------- */

static void exit_if_alone(struct supervisor *supervisor)
{
	if (worker_slots_running(&supervisor->workers) == 0)
		(void)sd_event_exit(supervisor->workers.event, 0);
}

static void stop_all(struct supervisor *supervisor, int number)
{
	const struct supervisor_times *times = supervisor->options->times;

	if (supervisor->stopping)
		return;
	supervisor->stopping = true;
	(void)sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64, times->whole_usec);
	worker_slots_end_restarts(&supervisor->workers);
	worker_slots_signal(&supervisor->workers, number);
	loop_timer_arm(supervisor->stop,
		       number == WORKER_SIGNAL_HAND_OVER ? times->hand_over_usec : times->stop_usec);
	exit_if_alone(supervisor);
}

static void on_ended(struct worker_slot *slot, struct worker_end *end, enum worker_state state)
{
	struct supervisor *supervisor = CONTAINER_OF(slot->all, struct supervisor, workers);

	if (supervisor->stopping || (supervisor->retiring && !worker_end_is_failure(end))) {
		exit_if_alone(supervisor);
		return;
	}
	/* What keeps one from beginning would keep the next one, too. */
	if (!supervisor->ready && state == WORKER_STARTING) {
		worker_end_record(end, supervisor->recorder, "so porterd stops");
		supervisor->failed = true;
		stop_all(supervisor, SIGTERM);
		return;
	}
	supervisor->retiring = false;
	worker_slot_replace(slot, end);
	worker_slots_start_missing(&supervisor->workers);
	finish_reload(supervisor);
	status_changed(supervisor);
}

static int on_watch(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *supervisor = userdata;

	(void)usec;
	/* One that hands over waits for systemd, not for anything of its own. */
	for (size_t i = 0; i < supervisor->workers.crew.count; i++)
		worker_slot_watch(&supervisor->workers.slots[i], !supervisor->stopping);
	finish_reload(supervisor);
	return sd_event_source_set_time_relative(source, supervisor->workers.crew.sign_usec);
}

/* --- what workers tell ------------------------------------------------------------------------------------- */

static int on_bell(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct supervisor *supervisor = userdata;
	struct worker_slots *workers = &supervisor->workers;
	uint64_t rung;

	(void)source;
	(void)events;
	(void)!read(fd, &rung, sizeof(rung));
	status_changed(supervisor);
	if (supervisor->stopping)
		return 0;

	if (!supervisor->ready && worker_slots_in(workers, WORKER_SERVING) == workers->crew.count) {
		supervisor->ready = true;
		tell_status(supervisor);
	}
	finish_reload(supervisor);
	if (!supervisor->retiring && worker_slots_in(workers, WORKER_IDLE) == workers->crew.count) {
		supervisor->retiring = true;
		worker_slots_signal(workers, WORKER_SIGNAL_RETIRE);
	} else if (supervisor->retiring && worker_slots_in(workers, WORKER_SERVING) > 0) {
		/* A client came to one of them in that moment. It stays, and the others come back. */
		supervisor->retiring = false;
		worker_slots_start_missing(workers);
	}
	return 0;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct supervisor *supervisor = userdata;

	(void)source;
	(void)info;
	if (supervisor->stopping)
		return 0;
	(void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
	supervisor->options->renew(supervisor->options->userdata);
	atomic_fetch_add(supervisor->workers.crew.settings, 1);
	supervisor->reloading = true;
	supervisor->told_ready = false;
	supervisor->reload_end_usec = clock_now_usec() + RELOAD_USEC;
	/* One that is about to begin has the signal blocked, and finds it then. */
	worker_slots_signal(&supervisor->workers, SIGHUP);
	finish_reload(supervisor);
	return 0;
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct supervisor *supervisor = userdata;
	size_t room = 0;
	int r;

	(void)source;
	(void)info;
	if (supervisor->stopping)
		return 0;
	r = worker_slots_connections(&supervisor->workers) > 0 ? supervisor->options->restarts(&room) : 0;
	atomic_store(supervisor->workers.crew.store_room, (uint32_t)MIN_OF(room, (size_t)UINT32_MAX));
	if (r < 0)
		record_message(supervisor->recorder, LOG_NOTICE,
			       "Can't tell a restart from a stop, so connections end: %s", strerror(-r));
	supervisor->handing_over = r > 0;
	stop_all(supervisor, r > 0 ? WORKER_SIGNAL_HAND_OVER : SIGTERM);
	return 0;
}

/* What workers leave behind goes to systemd. */
static void pass_on(struct supervisor *supervisor)
{
	struct fdset fds;
	char byte;

	while (sockio_receive_fds(supervisor->workers.crew.passed_fd, &byte, 1, &fds, MSG_DONTWAIT) > 0) {
		if (fds.count > 0 && !supervisor->options->store(fds.fds, fds.count))
			supervisor->unstored = true;
		fdset_clear(&fds);
	}
}

static int on_passed(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source;
	(void)fd;
	(void)events;
	pass_on(userdata);
	return 0;
}

static int on_stop_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *supervisor = userdata;

	(void)source;
	(void)usec;
	worker_slots_signal(&supervisor->workers, SIGKILL);
	return 0;
}

/* --- setting up -------------------------------------------------------------------------------------------- */

static int block_signals(void)
{
	static const int signals[] = {
		SIGTERM, SIGINT, SIGHUP, SIGCHLD, WORKER_SIGNAL_HAND_OVER, WORKER_SIGNAL_RETIRE,
	};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaddset(&set, signals[i]);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int make_crew(struct supervisor *supervisor, size_t count)
{
	struct worker_slots *workers = &supervisor->workers;
	uint64_t watchdog_usec = 0;
	int r;

	workers->silence_usec = sd_watchdog_enabled(false, &watchdog_usec) > 0 ? watchdog_usec : SILENCE_USEC;
	r = crew_open(&workers->crew, count, MIN_OF(workers->silence_usec / 4, SIGN_USEC));
	if (r < 0)
		return r;

	/* The kernel gives out the lowest number that is free. */
	workers->first_own = fcntl(workers->crew.supervisor_bell, F_DUPFD_CLOEXEC, supervisor->options->first_free);
	if (workers->first_own < 0)
		return -errno;
	(void)close(workers->first_own);
	return 0;
}

static int add_sources(struct supervisor *supervisor)
{
	struct crew *crew = &supervisor->workers.crew;
	sd_event *event;
	int r = sd_event_new(&supervisor->workers.event);

	if (r < 0)
		return r;
	event = supervisor->workers.event;
	r = sd_event_add_signal(event, NULL, SIGTERM, on_terminate, supervisor);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGINT, on_terminate, supervisor);
	if (r >= 0)
		r = sd_event_add_io(event, NULL, crew->supervisor_bell, EPOLLIN, on_bell, supervisor);
	if (r >= 0)
		r = sd_event_add_io(event, NULL, crew->passed_fd, EPOLLIN, on_passed, supervisor);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGHUP, on_reload, supervisor);
	if (r >= 0)
		r = loop_timer_new(event, &supervisor->status, on_status, supervisor);
	if (r >= 0)
		r = loop_timer_new(event, &supervisor->stop, on_stop_late, supervisor);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &supervisor->watch, CLOCK_MONOTONIC, crew->sign_usec,
					       crew->sign_usec / 4, on_watch, supervisor);
	if (r >= 0)
		r = sd_event_source_set_enabled(supervisor->watch, SD_EVENT_ON);
	if (r >= 0)
		r = sd_event_set_watchdog(event, true);
	return r;
}

static void clear(struct supervisor *supervisor)
{
	worker_slots_close(&supervisor->workers);
	sd_event_source_disable_unref(supervisor->watch);
	sd_event_source_disable_unref(supervisor->status);
	sd_event_source_disable_unref(supervisor->stop);
	sd_event_unref(supervisor->workers.event);
	crew_close(&supervisor->workers.crew);
}

int supervisor_run(const struct supervisor_options *options, struct recorder *recorder)
{
	struct supervisor supervisor = {
		.options = options,
		.recorder = recorder,
		.workers = {
			.recorder = recorder,
			.serve = options->serve,
			.serve_userdata = options->userdata,
			.ended = on_ended,
		},
	};
	struct worker_slots *workers = &supervisor.workers;
	int r = block_signals();

	if (r >= 0)
		r = make_crew(&supervisor, options->n_workers);
	if (r >= 0)
		r = add_sources(&supervisor);
	if (r >= 0)
		r = worker_slots_open(workers);
	for (size_t i = 0; r >= 0 && i < workers->crew.count; i++)
		r = worker_slot_start(&workers->slots[i]);
	if (options->started)
		options->started(options->userdata);
	if (r >= 0)
		r = sd_event_loop(workers->event);
	if (r < 0)
		record_message(recorder, LOG_ERR, "Can't serve: %s", strerror(-r));
	else
		tell_status(&supervisor);
	pass_on(&supervisor);
	if (supervisor.handing_over && (options->wait_stored() < 0 || supervisor.unstored))
		record_message(recorder, LOG_WARNING, "systemd may not have taken all connections in time");
	(void)recorder_flush(recorder);
	clear(&supervisor);
	return r < 0 || supervisor.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
