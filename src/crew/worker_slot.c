/* SPDX-License-Identifier: MIT
 *
 * One worker's place: fork, watch, count failures, replace.
 *
 * Workers are forked and not executed anew, so that one is back in a millisecond and they share their memory. The
 * price is that all have one layout of addresses, which a crash tells something about; that is one reason why those
 * that die again and again are replaced slowly.
 */
#include "crew/worker_slot.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/loop.h"
#include "kernel/sockio.h"
#include "record/record.h"

/* Two signs missed: others do not wait for it to take clients. */
#define SIGNS_MISSED 2
/* One that dies earlier than this after its start has failed once more in a row. So many failures are no reason to
 * wait, then the pause grows to as much as systemd gives a service (RestartSec=). */
#define STABLE_USEC (10 * USEC_PER_SEC)
#define FREE_FAILURES 3
#define PAUSE_MIN_USEC (100 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC USEC_PER_SEC

static struct worker_report *report_of(const struct worker_slot *slot)
{
	return &slot->all->crew.reports[slot->index];
}

static enum worker_state state_of(const struct worker_slot *slot)
{
	return (enum worker_state)atomic_load(&report_of(slot)->state);
}

static void add_values(struct counts *sum, const struct worker_report *report)
{
	for (enum count count = 0; count < COUNT_KINDS; count++)
		sum->of[count] += atomic_load(&report->counts[count]);
}

/* --- starting ---------------------------------------------------------------------------------------------- */

static _Noreturn void become_worker(struct worker_slot *slot, pid_t parent)
{
	struct worker_slots *all = slot->all;
	struct worker worker = { .crew = &all->crew, .index = slot->index };

	fd_close(all->crew.passed_fd);
	/* The supervisor's event loop, whose epoll set must not be touched from here. */
	(void)close_range((unsigned)all->first_own, ~0U, 0);
	/* Without a supervisor nobody would replace it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	exit(all->serve(&worker, all->serve_userdata));
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata);

int worker_slot_start(struct worker_slot *slot)
{
	pid_t parent = getpid();
	int r;

	slot->started_usec = clock_now_usec();
	slot->signs = 0;
	slot->silent = 0;
	slot->killed = false;
	/* What was read last is in memory that it shares. */
	atomic_store(&report_of(slot)->settings, atomic_load(slot->all->crew.settings));
	slot->pid = fork();
	if (slot->pid == 0)
		become_worker(slot, parent);
	if (slot->pid < 0) {
		slot->pid = 0;
		return -errno;
	}
	r = sd_event_add_child(slot->all->event, &slot->child, slot->pid, WEXITED, on_child, slot);
	if (r < 0) {
		(void)kill(slot->pid, SIGKILL);
		(void)waitpid(slot->pid, NULL, 0);
		slot->pid = 0;
		return r;
	}
	return 0;
}

/* Now, or later if that fails. */
static void start_or_retry(struct worker_slot *slot)
{
	int r = worker_slot_start(slot);

	if (r >= 0)
		return;
	record_message(slot->all->recorder, LOG_ERR, "Can't start worker %zu: %s", slot->index, strerror(-r));
	slot->failures++;
	loop_timer_arm(slot->restart, PAUSE_MAX_USEC);
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	start_or_retry(userdata);
	return 0;
}

void worker_slots_start_missing(struct worker_slots *all)
{
	for (size_t i = 0; i < all->crew.count; i++)
		if (all->slots[i].pid == 0 && !loop_timer_is_armed(all->slots[i].restart))
			start_or_retry(&all->slots[i]);
}

void worker_slots_end_restarts(struct worker_slots *all)
{
	for (size_t i = 0; i < all->crew.count; i++)
		(void)sd_event_source_set_enabled(all->slots[i].restart, SD_EVENT_OFF);
}

/* --- ends -------------------------------------------------------------------------------------------------- */

static void reset_report(struct worker_slot *slot)
{
	struct worker_report *report = report_of(slot);

	add_values(&slot->all->gone, report);
	/* Its connections have ended with it. */
	slot->all->gone.of[COUNT_CONNECTIONS] = 0;
	atomic_store(&report->state, WORKER_STARTING);
	atomic_store(&report->away, 0);
	atomic_store(&report->signs, 0);
	for (enum count count = 0; count < COUNT_KINDS; count++)
		atomic_store(&report->counts[count], 0);
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct worker_slot *slot = userdata;
	enum worker_state state = state_of(slot);
	struct worker_end end = {
		.worker = slot->index,
		.info = info,
		.silence_usec = slot->killed ? slot->all->silence_usec : 0,
		.connections = atomic_load(&report_of(slot)->counts[COUNT_CONNECTIONS]),
	};

	(void)source;
	slot->child = sd_event_source_disable_unref(slot->child);
	slot->pid = 0;
	reset_report(slot);
	slot->all->ended(slot, &end, state);
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

void worker_slot_replace(struct worker_slot *slot, struct worker_end *end)
{
	char then[96] = "another takes its place";
	bool failure = worker_end_is_failure(end);
	uint64_t pause;

	if (!failure || clock_now_usec() - slot->started_usec >= STABLE_USEC)
		slot->failures = 0;
	slot->failures += failure;
	end->failures = slot->failures;
	pause = pause_after(slot->failures);
	slot->all->replaced++;
	if (pause > 0) {
		(void)snprintf(then, sizeof(then), "that makes %u in a row, so the next one starts in %llu ms",
			       slot->failures, (unsigned long long)(pause / USEC_PER_MSEC));
		loop_timer_arm(slot->restart, pause);
	}
	worker_end_record(end, slot->all->recorder, then);
	if (pause == 0)
		start_or_retry(slot);
}

void worker_slot_watch(struct worker_slot *slot, bool kill_silent)
{
	uint64_t signs = atomic_load(&report_of(slot)->signs);

	if (slot->pid == 0)
		return;
	slot->silent = signs == slot->signs ? slot->silent + 1 : 0;
	slot->signs = signs;
	atomic_store(&report_of(slot)->away, slot->silent >= SIGNS_MISSED);
	/* Counted, not measured: after a pause of the whole machine it gets its time again. */
	if (!kill_silent || slot->killed || slot->silent < slot->all->silence_usec / slot->all->crew.sign_usec)
		return;
	slot->killed = true;
	(void)kill(slot->pid, SIGKILL);
}

/* --- all of them ------------------------------------------------------------------------------------------- */

void worker_slots_signal(const struct worker_slots *all, int number)
{
	for (size_t i = 0; i < all->crew.count; i++)
		if (all->slots[i].pid > 0)
			(void)kill(all->slots[i].pid, number);
}

size_t worker_slots_running(const struct worker_slots *all)
{
	size_t count = 0;

	for (size_t i = 0; i < all->crew.count; i++)
		count += all->slots[i].pid > 0;
	return count;
}

size_t worker_slots_in(const struct worker_slots *all, enum worker_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < all->crew.count; i++)
		count += all->slots[i].pid > 0 && state_of(&all->slots[i]) == state;
	return count;
}

bool worker_slots_have_settings(const struct worker_slots *all)
{
	uint32_t settings = atomic_load(all->crew.settings);

	for (size_t i = 0; i < all->crew.count; i++) {
		const struct worker_slot *slot = &all->slots[i];

		if (slot->pid > 0 && state_of(slot) != WORKER_STOPPING &&
		    atomic_load(&report_of(slot)->settings) != settings)
			return false;
	}
	return true;
}

uint64_t worker_slots_connections(const struct worker_slots *all)
{
	uint64_t count = 0;

	for (size_t i = 0; i < all->crew.count; i++)
		count += atomic_load(&all->crew.reports[i].counts[COUNT_CONNECTIONS]);
	return count;
}

void worker_slots_count(const struct worker_slots *all, struct counts *ret)
{
	*ret = all->gone;
	for (size_t i = 0; i < all->crew.count; i++)
		add_values(ret, &all->crew.reports[i]);
}

int worker_slots_open(struct worker_slots *all)
{
	all->slots = calloc(all->crew.count, sizeof(*all->slots));
	if (!all->slots)
		return -ENOMEM;
	for (size_t i = 0; i < all->crew.count; i++) {
		struct worker_slot *slot = &all->slots[i];
		int r;

		slot->all = all;
		slot->index = i;
		r = loop_timer_new(all->event, &slot->restart, on_restart, slot);
		if (r < 0)
			return r;
	}
	return 0;
}

void worker_slots_close(struct worker_slots *all)
{
	for (size_t i = 0; all->slots && i < all->crew.count; i++) {
		/* Only where the supervisor could not go on. */
		if (all->slots[i].pid > 0)
			(void)kill(all->slots[i].pid, SIGKILL);
		sd_event_source_disable_unref(all->slots[i].child);
		sd_event_source_disable_unref(all->slots[i].restart);
	}
	free(all->slots);
	all->slots = NULL;
}
