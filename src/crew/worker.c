/* SPDX-License-Identifier: MIT
 *
 * One process of a crew, as it looks from inside.
 */
#include "crew/worker.h"

#include <sys/epoll.h>

#include "base/macro.h"
#include "kernel/sockio.h"
#include "serve/listener.h"

static void set_count(struct worker *worker, enum count count, uint64_t value)
{
	atomic_store_explicit(&worker->report->counts[count], value, memory_order_relaxed);
}

void worker_tell(struct worker *worker, enum worker_state state)
{
	atomic_store(&worker->report->state, state);
	crew_ring(worker->crew->supervisor_bell);
}

void worker_tell_counts(struct worker *worker, const struct counts *counts)
{
	for (enum count count = 0; count < COUNT_KINDS; count++)
		set_count(worker, count, counts->of[count]);
	crew_ring(worker->crew->supervisor_bell);
}

uint32_t worker_settings(const struct worker *worker)
{
	return atomic_load(worker->crew->settings);
}

void worker_tell_settings(struct worker *worker, uint32_t settings)
{
	atomic_store(&worker->report->settings, settings);
	crew_ring(worker->crew->supervisor_bell);
}

bool worker_is_idle(const struct worker *worker)
{
	return atomic_load_explicit(&worker->report->state, memory_order_relaxed) == WORKER_IDLE;
}

void worker_connections_changed(struct worker *worker)
{
	const struct population *population = worker->population;
	uint64_t accepted = population->counts.of[COUNT_ACCEPTED];
	bool grew = accepted != crew_count_of(worker->crew, worker->index, COUNT_ACCEPTED);

	set_count(worker, COUNT_CONNECTIONS, population->n_connections);
	set_count(worker, COUNT_ACCEPTED, accepted);
	if (grew && !population->closing)
		balance_grew(&worker->balance);
}

/* --- signs of life, and orders ----------------------------------------------------------------------------- */

/* Adding it again looks for clients that wait: somebody may have been woken for them and then stopped. */
static void look_again(struct listener *listener)
{
	if (listener->paused)
		return;
	listener_pause(listener);
	listener_resume(listener);
}

static int on_sign(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct worker *worker = userdata;

	(void)usec;
	atomic_fetch_add_explicit(&worker->report->signs, 1, memory_order_relaxed);
	listeners_of_connections(worker->population, look_again);
	(void)sd_event_source_set_time_relative(source, worker->crew->sign_usec);
	return 0;
}

static void on_bell(struct loop_source *source, uint32_t events)
{
	struct worker *worker = CONTAINER_OF(source, struct worker, bell);
	uint64_t rung;

	(void)events;
	if (read(source->fd, &rung, sizeof(rung)) >= 0)
		balance_take_waiting(&worker->balance);
}

static int on_retire(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct worker *worker = userdata;

	(void)source;
	(void)info;
	/* If it is not idle any more, it has said so, or is about to. */
	if (worker_is_idle(worker))
		worker->orders.retire(worker->orders.to);
	return 0;
}

static int on_hand_over(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	const struct worker *worker = userdata;

	(void)source;
	(void)info;
	worker->orders.hand_over(worker->orders.to);
	return 0;
}

int worker_pass_fds(const struct worker *worker, const int *fds, size_t count)
{
	struct iovec nothing = { "", 1 };
	ssize_t sent;

	do
		sent = sockio_send_fds(worker->crew->pass_fd, &nothing, 1, fds, count, 0);
	while (sent == -EINTR);
	return sent < 0 ? (int)sent : 0;
}

size_t worker_take_room(const struct worker *worker, size_t wanted)
{
	uint32_t left = atomic_load(worker->crew->store_room), taken;

	do
		taken = (uint32_t)MIN_OF(wanted, (size_t)left);
	while (!atomic_compare_exchange_weak(worker->crew->store_room, &left, left - taken));
	return taken;
}

int worker_open(struct worker *worker, struct gate *gate)
{
	struct population *population = gate->population;
	sd_event *event = population->loop->event;
	int r;

	population->crowded = true;
	worker->population = population;
	worker->report = &worker->crew->reports[worker->index];
	worker->bell.fd = worker->crew->bells[worker->index];
	worker->bell.ready = on_bell;

	r = balance_open(&worker->balance, worker->crew, worker->index, gate);
	if (r >= 0)
		r = loop_add(population->loop, &worker->bell, EPOLLIN);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, WORKER_SIGNAL_HAND_OVER, on_hand_over, worker);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, WORKER_SIGNAL_RETIRE, on_retire, worker);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &worker->sign, CLOCK_MONOTONIC, 0,
					       worker->crew->sign_usec / 4, on_sign, worker);
	if (r >= 0)
		r = sd_event_source_set_enabled(worker->sign, SD_EVENT_ON);
	return r < 0 ? r : 0;
}

void worker_close(struct worker *worker)
{
	if (!worker->population)
		return;
	loop_remove(worker->population->loop, &worker->bell);
	balance_close(&worker->balance);
	worker->sign = sd_event_source_disable_unref(worker->sign);
	worker->population = NULL;
}
