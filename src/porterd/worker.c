/* SPDX-License-Identifier: MIT
 *
 * One of several processes that serve the same sockets.
 *
 * Each has the listening sockets in its epoll set with EPOLLEXCLUSIVE: a new client wakes the first worker in the
 * socket's queue that sleeps in epoll_wait(). That is always the same one as long as it sleeps again before the
 * next client comes, so clients that come one after the other would all be one worker's, and in a burst it is the
 * scheduler that decides. Hence a worker that has more than its share of the connections leaves the queue for a
 * moment, wakes the one that has the fewest, and queues up again at the end.
 */
#include "porterd/worker.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/macro.h"
#include "kernel/sockio.h"
#include "porterd/connection.h"
#include "porterd/quota.h"
#include "porterd/server.h"

/* How long one stands aside at most. A client takes some 30 us, so this is for one that has to wait for a CPU. One
 * that can't take any at all delays a client by this, then after as long again, after twice as long, and so on, until
 * the supervisor has missed its signs of life. */
#define ASIDE_USEC (10 * USEC_PER_MSEC)
/* So many connections more than the average, and an eighth of it, are no reason to stand aside; and it is looked at
 * with every so many new ones. */
#define SLACK 16
#define GROWN_MAX 4

#define USER_BYTES_MIN (UINT64_C(1024) * 1024)

size_t worker_default_count(void)
{
	/* The kernel refuses a set that is too small for its CPUs. */
	cpu_set_t sets[8];
	int count;

	if (sched_getaffinity(0, sizeof(sets), sets) < 0)
		return 1;
	count = CPU_COUNT_S(sizeof(sets), sets) / 2;
	return count < 1 ? 1 : MIN_OF((size_t)count, (size_t)WORKERS_MAX);
}

/* The first ones have one more where it can't be divided. */
static size_t share_of(size_t amount, size_t least, size_t index, size_t count)
{
	size_t share = amount / count + (index < amount % count);

	return share < least ? least : share;
}

void worker_share_limits(struct config *config, size_t index, size_t count)
{
	struct quota_settings *quota = &config->quota;
	size_t connections = config->connections_max ? config->connections_max : SERVER_CONNECTIONS_MAX;
	size_t users = quota_user_connections(connections, quota);

	config->connections_max = share_of(connections, 1, index, count);
	quota->connections = share_of(users, 1, index, count);
	quota->bytes = share_of(quota->bytes ? quota->bytes : QUOTA_USER_BYTES, USER_BYTES_MIN, index, count);
	quota->opens = share_of(quota->opens ? quota->opens : QUOTA_USER_OPENS, 1, index, count);
}

/* One line more, for what is everybody's. */
static size_t reports_size(size_t count)
{
	return (count + 1) * sizeof(struct worker_report);
}

int worker_crew_open(struct worker_crew *crew, size_t count, uint64_t sign_usec)
{
	void *reports = mmap(NULL, reports_size(count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			     -1, 0);
	int pair[2];

	*crew = (struct worker_crew){ .count = count, .sign_usec = sign_usec, .pass_fd = -EBADF, .passed_fd = -EBADF };
	/* One more, for the supervisor. */
	crew->bells = calloc(count + 1, sizeof(*crew->bells));
	if (reports != MAP_FAILED)
		crew->reports = reports;
	if (!crew->reports || !crew->bells)
		return -ENOMEM;
	crew->store_room = (_Atomic uint32_t *)&crew->reports[count];
	crew->settings = crew->store_room + 1;
	for (size_t i = 0; i <= count; i++) {
		crew->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (crew->bells[i] < 0)
			return -errno;
	}
	crew->supervisor_bell = crew->bells[count];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	crew->pass_fd = pair[0];
	crew->passed_fd = pair[1];
	return 0;
}

void worker_crew_close(struct worker_crew *crew)
{
	/* 0 is none: such a number would have been the first one's. */
	for (size_t i = 0; crew->bells && i <= crew->count && crew->bells[i] > 0; i++)
		fd_close(crew->bells[i]);
	free(crew->bells);
	if (crew->pass_fd > 0)
		fd_close(crew->pass_fd);
	if (crew->passed_fd > 0)
		fd_close(crew->passed_fd);
	if (crew->reports)
		(void)munmap(crew->reports, reports_size(crew->count));
	*crew = (struct worker_crew){ 0 };
}

static void ring(int bell)
{
	uint64_t once = 1;

	/* It is full only if nobody has looked for 2^64 times. */
	(void)!write(bell, &once, sizeof(once));
}

static void set_value(struct worker *worker, enum status_kind kind, uint64_t value)
{
	atomic_store_explicit(&worker->report->values[kind], value, memory_order_relaxed);
}

static uint64_t value_of(const struct worker *worker, size_t index, enum status_kind kind)
{
	return atomic_load_explicit(&worker->crew->reports[index].values[kind], memory_order_relaxed);
}

void worker_tell(struct worker *worker, enum worker_state state)
{
	atomic_store(&worker->report->state, state);
	ring(worker->crew->supervisor_bell);
}

void worker_tell_status(struct worker *worker)
{
	struct status status;

	status_take(&status, worker->server);
	for (enum status_kind kind = 0; kind < STATUS_KINDS; kind++)
		set_value(worker, kind, status.values[kind]);
	ring(worker->crew->supervisor_bell);
}

uint32_t worker_settings(const struct worker *worker)
{
	return atomic_load(worker->crew->settings);
}

void worker_tell_settings(struct worker *worker, uint32_t settings)
{
	atomic_store(&worker->report->settings, settings);
	ring(worker->crew->supervisor_bell);
}

void worker_is_busy(struct worker *worker)
{
	if (atomic_load_explicit(&worker->report->state, memory_order_relaxed) == WORKER_IDLE)
		worker_tell(worker, WORKER_SERVING);
}

/* --- standing aside ---------------------------------------------------------------------------------------- */

static uint64_t count_accepted_by_others(const struct worker *worker)
{
	uint64_t accepted = 0;

	for (size_t i = 0; i < worker->crew->count; i++)
		if (i != worker->index)
			accepted += value_of(worker, i, STATUS_ACCEPTED);
	return accepted;
}

/* Does it take new clients, as far as one knows? */
static bool is_there(const struct worker *worker, size_t index)
{
	const struct worker_report *report = &worker->crew->reports[index];
	uint32_t state = atomic_load_explicit(&report->state, memory_order_relaxed);

	return (state == WORKER_SERVING || state == WORKER_IDLE) &&
	       !atomic_load_explicit(&report->away, memory_order_relaxed);
}

/* Has it more than its share? Then somebody else has less: the one with the fewest is put into `least`. */
static bool has_too_many(const struct worker *worker, size_t *least)
{
	uint64_t all = 0, fewest = UINT64_MAX, share, count = 0;

	for (size_t i = 0; i < worker->crew->count; i++) {
		uint64_t connections = value_of(worker, i, STATUS_CONNECTIONS);

		if (!is_there(worker, i))
			continue;
		count++;
		all += connections;
		if (connections < fewest) {
			fewest = connections;
			*least = i;
		}
	}
	if (count < 2)
		return false;
	share = all / count;
	return worker->server->n_connections > share + share / 8 + SLACK;
}

static void stand_aside(struct worker *worker)
{
	size_t least = worker->index;

	if (!has_too_many(worker, &least))
		return;
	/* Nobody took them the last time: who should is stopped, full, or has no CPU just now. */
	if (worker->vain_usec > 0 && count_accepted_by_others(worker) == worker->others_accepted &&
	    clock_now_usec() < worker->again_usec)
		return;

	worker->others_accepted = count_accepted_by_others(worker);
	worker->stands_aside = true;
	server_for_each_acceptor(worker->server, listener_pause);
	ring(worker->crew->bells[least]);
	loop_arm(&worker->server->loop, worker->aside, ASIDE_USEC);
}

static bool somebody_waits(const struct listener *listener)
{
	struct pollfd pollfd = { .fd = listener->source.fd, .events = POLLIN };

	return !listener->answers && poll(&pollfd, 1, 0) > 0;
}

static bool somebody_waits_anywhere(const struct worker *worker)
{
	for (const struct listener *l = worker->server->listeners; l; l = l->next)
		if (somebody_waits(l))
			return true;
	return false;
}

static void come_back(struct worker *worker)
{
	if (!worker->stands_aside)
		return;
	worker->stands_aside = false;
	(void)sd_event_source_set_enabled(worker->aside, SD_EVENT_OFF);
	server_resume_acceptors(worker->server);
}

static int on_aside_end(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct worker *worker = userdata;

	(void)source;
	(void)usec;
	if (count_accepted_by_others(worker) != worker->others_accepted || !somebody_waits_anywhere(worker)) {
		worker->vain_usec = 0;
	} else {
		worker->vain_usec = worker->vain_usec > 0 ? 2 * worker->vain_usec : ASIDE_USEC;
		worker->again_usec = clock_now_usec() + worker->vain_usec;
	}
	come_back(worker);
	return 0;
}

void worker_connections_changed(struct worker *worker)
{
	struct server *server = worker->server;
	bool more = server->counts.accepted != value_of(worker, worker->index, STATUS_ACCEPTED);

	set_value(worker, STATUS_CONNECTIONS, server->n_connections);
	set_value(worker, STATUS_ACCEPTED, server->counts.accepted);
	if (!more || server->draining || worker->stands_aside || ++worker->grown < GROWN_MAX)
		return;
	worker->grown = 0;
	stand_aside(worker);
}

/* Takes some of those who wait. It keeps its place in the sockets' queues by that, before the one that stands aside
 * and queues up anew. */
static void take_waiting(struct listener *listener)
{
	for (unsigned i = 0; i < GROWN_MAX && !listener->paused && somebody_waits(listener); i++)
		listener->source.ready(&listener->source, EPOLLIN);
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
	server_for_each_acceptor(worker->server, look_again);
	(void)sd_event_source_set_time_relative(source, worker->crew->sign_usec);
	return 0;
}

static void on_bell(struct loop_source *source, uint32_t events)
{
	struct worker *worker = CONTAINER_OF(source, struct worker, bell);
	uint64_t rung;

	(void)events;
	if (read(source->fd, &rung, sizeof(rung)) < 0)
		return;
	come_back(worker);
	server_for_each_acceptor(worker->server, take_waiting);
}

static int on_retire(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct worker *worker = userdata;
	struct server *server = worker->server;

	(void)source;
	(void)info;
	/* If it is not idle any more, it has said so, or is about to. */
	if (atomic_load(&worker->report->state) == WORKER_IDLE && server->n_connections == 0 && !server->active)
		server_drain(server);
	return 0;
}

static int on_hand_over(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct worker *worker = userdata;

	(void)source;
	(void)info;
	server_hand_over(worker->server);
	return 0;
}

int worker_pass_fds(struct worker *worker, const int *fds, size_t count)
{
	struct iovec nothing = { "", 1 };
	ssize_t sent;

	do
		sent = sockio_send_fds(worker->crew->pass_fd, &nothing, 1, fds, count, 0);
	while (sent == -EINTR);
	return sent < 0 ? (int)sent : 0;
}

size_t worker_take_room(struct worker *worker, size_t wanted)
{
	uint32_t left = atomic_load(worker->crew->store_room), taken;

	do
		taken = (uint32_t)MIN_OF(wanted, (size_t)left);
	while (!atomic_compare_exchange_weak(worker->crew->store_room, &left, left - taken));
	return taken;
}

int worker_open(struct worker *worker, struct server *server)
{
	sd_event *event = server->loop.event;
	int r;

	worker->server = server;
	worker->report = &worker->crew->reports[worker->index];
	worker->bell.fd = worker->crew->bells[worker->index];
	worker->bell.ready = on_bell;

	r = loop_add(&server->loop, &worker->bell, EPOLLIN);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, WORKER_SIGNAL_HAND_OVER, on_hand_over, worker);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, WORKER_SIGNAL_RETIRE, on_retire, worker);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &worker->aside, CLOCK_MONOTONIC, 0, 1, on_aside_end, worker);
	if (r >= 0)
		r = sd_event_source_set_enabled(worker->aside, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &worker->sign, CLOCK_MONOTONIC, 0,
					       worker->crew->sign_usec / 4, on_sign, worker);
	if (r >= 0)
		r = sd_event_source_set_enabled(worker->sign, SD_EVENT_ON);
	return r < 0 ? r : 0;
}

void worker_close(struct worker *worker)
{
	if (!worker || !worker->server)
		return;
	loop_remove(&worker->server->loop, &worker->bell);
	worker->aside = sd_event_source_disable_unref(worker->aside);
	worker->sign = sd_event_source_disable_unref(worker->sign);
	worker->server = NULL;
}
