/* SPDX-License-Identifier: MIT
 *
 * Several worker processes on the same sockets, and the process that looks after them.
 *
 * Workers are forked and not executed anew, so that one is back in a millisecond and they share their memory. The
 * price is that all have one layout of addresses, which a crash tells something about; that is one reason why those
 * that die again and again are replaced slowly.
 */
#include "porterd/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "kernel/sockio.h"
#include "porterd/handover.h"
#include "porterd/restart.h"
#include "porterd/server.h"
#include "porterd/worker_end.h"

/* The least time between two status lines, and the most between two signs of life. */
#define STATUS_USEC USEC_PER_SEC
#define SIGN_USEC USEC_PER_SEC
/* A worker without a sign of life for so long is killed, unless WatchdogSec= says how long. */
#define SILENCE_USEC (30 * USEC_PER_SEC)
/* Two signs missed: others do not wait for it to take clients. */
#define SIGNS_MISSED 2
/* One that dies earlier than this after its start has failed once more in a row. So many failures are no reason to
 * wait, then the pause grows to as much as systemd gives a service (RestartSec=). */
#define STABLE_USEC (10 * USEC_PER_SEC)
#define FREE_FAILURES 3
#define PAUSE_MIN_USEC (100 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC USEC_PER_SEC
/* How long workers are given to stop, beyond what they give their clients; to hand over, which waits for the opener
 * and for systemd, less than its unit has (TimeoutStopSec=). */
#define STOP_USEC ((SERVER_DRAIN_SECONDS + 2) * USEC_PER_SEC)
#define STOP_AND_STORE_USEC ((HANDOVER_FINISH_SECONDS + SERVER_DRAIN_SECONDS + 1) * USEC_PER_SEC)

struct slot {
	struct supervisor *supervisor;
	size_t index;
	pid_t pid; /* 0: none runs */
	sd_event_source *child, *restart;
	uint64_t started_usec;
	unsigned failures; /* in a row */
	uint64_t signs;	   /* seen when it was last looked */
	unsigned silent;   /* so often none was new */
	bool killed;	   /* for its silence */
};

struct supervisor {
	const struct supervisor_options *options;
	struct recorder *recorder;
	struct worker_crew crew;
	struct slot *slots;
	int first_own; /* fds from here on are the event loop's */
	sd_event *event;
	sd_event_source *watch, *status, *stop;
	struct status gone; /* what those have counted that are gone */
	uint64_t replaced;
	uint64_t silence_usec;
	bool ready;
	bool retiring; /* all were idle, and are to stop if they still are */
	bool stopping;
	bool handing_over, unstored; /* connections go to systemd; it did not take all of them */
	bool failed;
};

static struct worker_report *report_of(const struct slot *slot)
{
	return &slot->supervisor->crew.reports[slot->index];
}

static enum worker_state state_of(const struct slot *slot)
{
	return (enum worker_state)atomic_load(&report_of(slot)->state);
}

static void arm(sd_event_source *timer, uint64_t usec)
{
	if (sd_event_source_set_time_relative(timer, usec) >= 0)
		(void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static bool is_armed(sd_event_source *timer)
{
	int enabled = SD_EVENT_OFF;

	return sd_event_source_get_enabled(timer, &enabled) >= 0 && enabled != SD_EVENT_OFF;
}

static void signal_all(struct supervisor *supervisor, int number)
{
	for (size_t i = 0; i < supervisor->crew.count; i++)
		if (supervisor->slots[i].pid > 0)
			(void)kill(supervisor->slots[i].pid, number);
}

static size_t count_running(const struct supervisor *supervisor)
{
	size_t count = 0;

	for (size_t i = 0; i < supervisor->crew.count; i++)
		count += supervisor->slots[i].pid > 0;
	return count;
}

/* So many run and are in this state. */
static size_t count_in(const struct supervisor *supervisor, enum worker_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < supervisor->crew.count; i++)
		count += supervisor->slots[i].pid > 0 && state_of(&supervisor->slots[i]) == state;
	return count;
}

static uint64_t count_connections(const struct supervisor *supervisor)
{
	uint64_t count = 0;

	for (size_t i = 0; i < supervisor->crew.count; i++)
		count += atomic_load(&supervisor->crew.reports[i].values[STATUS_CONNECTIONS]);
	return count;
}

/* --- status ------------------------------------------------------------------------------------------------ */

static void add_values(struct status *sum, const struct worker_report *report)
{
	for (enum status_kind kind = 0; kind < STATUS_KINDS; kind++)
		sum->values[kind] += atomic_load(&report->values[kind]);
}

static void tell_status(struct supervisor *supervisor)
{
	struct status sum = supervisor->gone;
	char more[96];

	for (size_t i = 0; i < supervisor->crew.count; i++)
		add_values(&sum, &supervisor->crew.reports[i]);
	sum.values[STATUS_DROPPED_RECORDS] += recorder_counts(supervisor->recorder).dropped;
	(void)snprintf(more, sizeof(more), ", workers: %zu, replaced: %llu", count_running(supervisor),
		       (unsigned long long)supervisor->replaced);
	status_tell(&sum, more);
}

static void status_changed(struct supervisor *supervisor)
{
	if (!is_armed(supervisor->status))
		arm(supervisor->status, STATUS_USEC);
}

static int on_status(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *supervisor = userdata;

	(void)source;
	(void)usec;
	tell_status(supervisor);
	if (!recorder_flush(supervisor->recorder))
		status_changed(supervisor);
	return 0;
}

/* --- starting ---------------------------------------------------------------------------------------------- */

static void stop_all(struct supervisor *supervisor, int number)
{
	if (supervisor->stopping)
		return;
	supervisor->stopping = true;
	(void)sd_notify(false, "STOPPING=1");
	for (size_t i = 0; i < supervisor->crew.count; i++)
		(void)sd_event_source_set_enabled(supervisor->slots[i].restart, SD_EVENT_OFF);
	signal_all(supervisor, number);
	arm(supervisor->stop, number == WORKER_SIGNAL_HAND_OVER ? STOP_AND_STORE_USEC : STOP_USEC);
	if (count_running(supervisor) == 0)
		(void)sd_event_exit(supervisor->event, 0);
}

static _Noreturn void become_worker(struct slot *slot, pid_t parent)
{
	struct supervisor *supervisor = slot->supervisor;
	struct worker worker = { .crew = &supervisor->crew, .index = slot->index };

	fd_close(supervisor->crew.passed_fd);
	/* The supervisor's event loop, whose epoll set must not be touched from here. */
	(void)close_range((unsigned)supervisor->first_own, ~0U, 0);
	/* Without a supervisor nobody would replace it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	exit(supervisor->options->serve(&worker, supervisor->options->userdata));
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata);

static void reset_report(struct slot *slot)
{
	struct worker_report *report = report_of(slot);

	add_values(&slot->supervisor->gone, report);
	/* Its connections have ended with it. */
	slot->supervisor->gone.values[STATUS_CONNECTIONS] = 0;
	atomic_store(&report->state, WORKER_STARTING);
	atomic_store(&report->away, 0);
	atomic_store(&report->signs, 0);
	for (enum status_kind kind = 0; kind < STATUS_KINDS; kind++)
		atomic_store(&report->values[kind], 0);
}

static int start(struct slot *slot)
{
	struct supervisor *supervisor = slot->supervisor;
	pid_t parent = getpid();
	int r;

	slot->started_usec = clock_now_usec();
	slot->signs = 0;
	slot->silent = 0;
	slot->killed = false;
	slot->pid = fork();
	if (slot->pid == 0)
		become_worker(slot, parent);
	if (slot->pid < 0) {
		slot->pid = 0;
		return -errno;
	}
	r = sd_event_add_child(supervisor->event, &slot->child, slot->pid, WEXITED, on_child, slot);
	if (r < 0) {
		(void)kill(slot->pid, SIGKILL);
		(void)waitpid(slot->pid, NULL, 0);
		slot->pid = 0;
		return r;
	}
	return 0;
}

static uint64_t pause_after(unsigned failures)
{
	uint64_t usec = PAUSE_MIN_USEC;

	if (failures <= FREE_FAILURES)
		return 0;
	for (unsigned i = FREE_FAILURES + 1; i < failures && usec < PAUSE_MAX_USEC; i++)
		usec *= 2;
	return MIN_OF(usec, PAUSE_MAX_USEC);
}

/* Now, or later if that fails. */
static void start_or_retry(struct slot *slot)
{
	int r = start(slot);

	if (r >= 0)
		return;
	record_message(slot->supervisor->recorder, LOG_ERR, "Can't start worker %zu: %s", slot->index, strerror(-r));
	slot->failures++;
	arm(slot->restart, PAUSE_MAX_USEC);
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	start_or_retry(userdata);
	return 0;
}

static void start_missing(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->crew.count; i++)
		if (supervisor->slots[i].pid == 0 && !is_armed(supervisor->slots[i].restart))
			start_or_retry(&supervisor->slots[i]);
}

/* --- ends of workers --------------------------------------------------------------------------------------- */

static void replace(struct slot *slot, struct worker_end *end)
{
	char then[96] = "another takes its place";
	bool failure = worker_end_is_failure(end);
	uint64_t pause;

	if (!failure || clock_now_usec() - slot->started_usec >= STABLE_USEC)
		slot->failures = 0;
	slot->failures += failure;
	end->failures = slot->failures;
	pause = pause_after(slot->failures);
	slot->supervisor->replaced++;
	if (pause > 0) {
		(void)snprintf(then, sizeof(then), "that makes %u in a row, so the next one starts in %llu ms",
			       slot->failures, (unsigned long long)(pause / USEC_PER_MSEC));
		arm(slot->restart, pause);
	}
	worker_end_record(end, slot->supervisor->recorder, then);
	if (pause == 0)
		start_or_retry(slot);
	status_changed(slot->supervisor);
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct slot *slot = userdata;
	struct supervisor *supervisor = slot->supervisor;
	bool early = !supervisor->ready && state_of(slot) == WORKER_STARTING;
	struct worker_end end = {
		.worker = slot->index,
		.info = info,
		.silence_usec = slot->killed ? supervisor->silence_usec : 0,
		.connections = atomic_load(&report_of(slot)->values[STATUS_CONNECTIONS]),
	};

	(void)source;
	slot->child = sd_event_source_disable_unref(slot->child);
	slot->pid = 0;
	reset_report(slot);

	if (supervisor->stopping || (supervisor->retiring && !worker_end_is_failure(&end))) {
		if (count_running(supervisor) == 0)
			(void)sd_event_exit(supervisor->event, 0);
		return 0;
	}
	/* What keeps one from beginning would keep the next one, too. */
	if (early) {
		worker_end_record(&end, supervisor->recorder, "so porterd stops");
		supervisor->failed = true;
		stop_all(supervisor, SIGTERM);
		return 0;
	}
	supervisor->retiring = false;
	replace(slot, &end);
	start_missing(supervisor);
	return 0;
}

static int on_watch(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *supervisor = userdata;
	uint64_t allowed = supervisor->silence_usec / supervisor->crew.sign_usec;

	(void)usec;
	for (size_t i = 0; i < supervisor->crew.count; i++) {
		struct slot *slot = &supervisor->slots[i];
		uint64_t signs = atomic_load(&report_of(slot)->signs);

		if (slot->pid == 0)
			continue;
		slot->silent = signs == slot->signs ? slot->silent + 1 : 0;
		slot->signs = signs;
		atomic_store(&report_of(slot)->away, slot->silent >= SIGNS_MISSED);
		/* Counted, not measured: after a pause of the whole machine it gets its time again. While it hands over
		 * it waits for systemd. */
		if (slot->silent < allowed || slot->killed || supervisor->stopping)
			continue;
		slot->killed = true;
		(void)kill(slot->pid, SIGKILL);
	}
	return sd_event_source_set_time_relative(source, supervisor->crew.sign_usec);
}

/* --- what workers tell ------------------------------------------------------------------------------------- */

static int on_bell(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct supervisor *supervisor = userdata;
	uint64_t rung;

	(void)source;
	(void)events;
	(void)!read(fd, &rung, sizeof(rung));
	status_changed(supervisor);
	if (supervisor->stopping)
		return 0;

	if (!supervisor->ready && count_in(supervisor, WORKER_SERVING) == supervisor->crew.count) {
		supervisor->ready = true;
		(void)sd_notify(false, "READY=1");
		tell_status(supervisor);
	}
	if (!supervisor->retiring && count_in(supervisor, WORKER_IDLE) == supervisor->crew.count) {
		supervisor->retiring = true;
		signal_all(supervisor, WORKER_SIGNAL_RETIRE);
	} else if (supervisor->retiring && count_in(supervisor, WORKER_SERVING) > 0) {
		/* A client came to one of them in that moment. It stays, and the others come back. */
		supervisor->retiring = false;
		start_missing(supervisor);
	}
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
	r = count_connections(supervisor) > 0 ? restart_follows(&room) : 0;
	atomic_store(supervisor->crew.store_room, (uint32_t)MIN_OF(room, (size_t)UINT32_MAX));
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

	while (sockio_receive_fds(supervisor->crew.passed_fd, &byte, 1, &fds, MSG_DONTWAIT) > 0) {
		if (fds.count > 0 && !handover_store(fds.fds, fds.count))
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
	(void)source;
	(void)usec;
	signal_all(userdata, SIGKILL);
	return 0;
}

/* --- setting up -------------------------------------------------------------------------------------------- */

static int block_signals(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGCHLD, WORKER_SIGNAL_HAND_OVER, WORKER_SIGNAL_RETIRE };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaddset(&set, signals[i]);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int make_crew(struct supervisor *supervisor, size_t count)
{
	uint64_t watchdog_usec = 0;
	int r;

	supervisor->silence_usec = sd_watchdog_enabled(false, &watchdog_usec) > 0 ? watchdog_usec : SILENCE_USEC;
	r = worker_crew_open(&supervisor->crew, count, MIN_OF(supervisor->silence_usec / 4, SIGN_USEC));
	if (r < 0)
		return r;
	supervisor->slots = calloc(count, sizeof(*supervisor->slots));
	if (!supervisor->slots)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		supervisor->slots[i].supervisor = supervisor;
		supervisor->slots[i].index = i;
	}

	/* The kernel gives out the lowest number that is free. */
	supervisor->first_own = fcntl(supervisor->crew.supervisor_bell, F_DUPFD_CLOEXEC,
				      supervisor->options->first_free);
	if (supervisor->first_own < 0)
		return -errno;
	(void)close(supervisor->first_own);
	return 0;
}

static int add_timer(struct supervisor *supervisor, sd_event_source **ret, sd_event_time_handler_t handler,
		     void *userdata)
{
	int r = sd_event_add_time(supervisor->event, ret, CLOCK_MONOTONIC, UINT64_MAX, USEC_PER_MSEC, handler,
				  userdata);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_sources(struct supervisor *supervisor)
{
	int r = sd_event_new(&supervisor->event);

	if (r >= 0)
		r = sd_event_add_signal(supervisor->event, NULL, SIGTERM, on_terminate, supervisor);
	if (r >= 0)
		r = sd_event_add_signal(supervisor->event, NULL, SIGINT, on_terminate, supervisor);
	if (r >= 0)
		r = sd_event_add_io(supervisor->event, NULL, supervisor->crew.supervisor_bell, EPOLLIN, on_bell,
				    supervisor);
	if (r >= 0)
		r = sd_event_add_io(supervisor->event, NULL, supervisor->crew.passed_fd, EPOLLIN, on_passed, supervisor);
	if (r >= 0)
		r = add_timer(supervisor, &supervisor->status, on_status, supervisor);
	if (r >= 0)
		r = add_timer(supervisor, &supervisor->stop, on_stop_late, supervisor);
	if (r >= 0)
		r = sd_event_add_time_relative(supervisor->event, &supervisor->watch, CLOCK_MONOTONIC,
					       supervisor->crew.sign_usec, supervisor->crew.sign_usec / 4, on_watch,
					       supervisor);
	if (r >= 0)
		r = sd_event_source_set_enabled(supervisor->watch, SD_EVENT_ON);
	for (size_t i = 0; r >= 0 && i < supervisor->crew.count; i++)
		r = add_timer(supervisor, &supervisor->slots[i].restart, on_restart, &supervisor->slots[i]);
	if (r >= 0)
		r = sd_event_set_watchdog(supervisor->event, true);
	return r;
}

static void clear(struct supervisor *supervisor)
{
	for (size_t i = 0; supervisor->slots && i < supervisor->crew.count; i++) {
		/* Only where it could not go on. */
		if (supervisor->slots[i].pid > 0)
			(void)kill(supervisor->slots[i].pid, SIGKILL);
		sd_event_source_disable_unref(supervisor->slots[i].child);
		sd_event_source_disable_unref(supervisor->slots[i].restart);
	}
	sd_event_source_disable_unref(supervisor->watch);
	sd_event_source_disable_unref(supervisor->status);
	sd_event_source_disable_unref(supervisor->stop);
	sd_event_unref(supervisor->event);
	worker_crew_close(&supervisor->crew);
	free(supervisor->slots);
}

int supervisor_run(const struct supervisor_options *options, struct recorder *recorder)
{
	struct supervisor supervisor = { .options = options, .recorder = recorder };
	int r = block_signals();

	if (r >= 0)
		r = make_crew(&supervisor, options->n_workers);
	if (r >= 0)
		r = add_sources(&supervisor);
	for (size_t i = 0; r >= 0 && i < supervisor.crew.count; i++)
		r = start(&supervisor.slots[i]);
	if (options->started)
		options->started(options->userdata);
	if (r >= 0)
		r = sd_event_loop(supervisor.event);
	if (r < 0)
		record_message(recorder, LOG_ERR, "Can't serve: %s", strerror(-r));
	else
		tell_status(&supervisor);
	pass_on(&supervisor);
	if (supervisor.handing_over && (handover_wait_stored() < 0 || supervisor.unstored))
		record_message(recorder, LOG_WARNING, "systemd may not have taken all connections in time");
	(void)recorder_flush(recorder);
	clear(&supervisor);
	return r < 0 || supervisor.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
