/* SPDX-License-Identifier: MIT
 *
 * How a worker leaves new clients to others.
 *
 * Each has the listening sockets in its epoll set with EPOLLEXCLUSIVE: a new client wakes the first worker in the
 * socket's queue that sleeps in epoll_wait(). That is always the same one as long as it sleeps again before the
 * next client comes, so clients that come one after the other would all be one worker's, and in a burst it is the
 * scheduler that decides. Hence a worker that has more than its share of the connections leaves the queue for a
 * moment, wakes the one that has the fewest, and queues up again at the end.
 */
#include "crew/balance.h"

#include <poll.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/macro.h"
#include "serve/listener.h"

/* How long one stands aside at most. A client takes some 30 us, so this is for one that has to wait for a CPU. One
 * that can't take any at all delays a client by this, then after as long again, after twice as long, and so on, until
 * the supervisor has missed its signs of life. */
#define ASIDE_USEC (10 * USEC_PER_MSEC)
/* So many connections more than the average, and an eighth of it, are no reason to stand aside; and it is looked at
 * with every so many new ones. */
#define SLACK 16
#define GROWN_MAX 4

static uint64_t count_accepted_by_others(const struct balance *balance)
{
	uint64_t accepted = 0;

	for (size_t i = 0; i < balance->crew->count; i++)
		if (i != balance->index)
			accepted += crew_count_of(balance->crew, i, COUNT_ACCEPTED);
	return accepted;
}

/* Does it take new clients, as far as one knows? */
static bool is_there(const struct balance *balance, size_t index)
{
	const struct worker_report *report = &balance->crew->reports[index];
	uint32_t state = atomic_load_explicit(&report->state, memory_order_relaxed);

	return (state == WORKER_SERVING || state == WORKER_IDLE) &&
	       !atomic_load_explicit(&report->away, memory_order_relaxed);
}

/* Has it more than its share? Then somebody else has less: the one with the fewest is put into `least`. */
static bool has_too_many(const struct balance *balance, size_t *least)
{
	uint64_t all = 0, fewest = UINT64_MAX, share, count = 0;

	for (size_t i = 0; i < balance->crew->count; i++) {
		uint64_t connections = crew_count_of(balance->crew, i, COUNT_CONNECTIONS);

		if (!is_there(balance, i))
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
	return balance->gate->population->n_connections > share + share / 8 + SLACK;
}

static void stand_aside(struct balance *balance)
{
	size_t least = balance->index;

	if (!has_too_many(balance, &least))
		return;
	/* Nobody took them the last time: who should is stopped, full, or has no CPU just now. */
	if (balance->vain_usec > 0 && count_accepted_by_others(balance) == balance->others_accepted &&
	    clock_now_usec() < balance->again_usec)
		return;

	balance->others_accepted = count_accepted_by_others(balance);
	balance->stands_aside = true;
	listeners_of_connections(balance->gate->population, listener_pause);
	crew_ring(balance->crew->bells[least]);
	loop_arm(balance->gate->population->loop, balance->aside, ASIDE_USEC);
}

static bool somebody_waits(const struct listener *listener)
{
	struct pollfd pollfd = { .fd = listener->source.fd, .events = POLLIN };

	return listener_accepts(listener) && poll(&pollfd, 1, 0) > 0;
}

static bool somebody_waits_anywhere(const struct balance *balance)
{
	LIST_FOR_EACH(&balance->gate->population->listeners, const struct listener, listener, link)
		if (somebody_waits(listener))
			return true;
	return false;
}

static void come_back(struct balance *balance)
{
	if (!balance->stands_aside)
		return;
	balance->stands_aside = false;
	(void)sd_event_source_set_enabled(balance->aside, SD_EVENT_OFF);
	gate_resume(balance->gate);
}

static int on_aside_end(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct balance *balance = userdata;

	(void)source;
	(void)usec;
	if (count_accepted_by_others(balance) != balance->others_accepted || !somebody_waits_anywhere(balance)) {
		balance->vain_usec = 0;
	} else {
		balance->vain_usec = balance->vain_usec > 0 ? 2 * balance->vain_usec : ASIDE_USEC;
		balance->again_usec = clock_now_usec() + balance->vain_usec;
	}
	come_back(balance);
	return 0;
}

void balance_grew(struct balance *balance)
{
	if (balance->stands_aside || ++balance->grown < GROWN_MAX)
		return;
	balance->grown = 0;
	stand_aside(balance);
}

/* It keeps its place in the sockets' queues by that, before the one that stands aside and queues up anew. */
static void take_some(struct listener *listener)
{
	for (unsigned i = 0; i < GROWN_MAX && !listener->paused && somebody_waits(listener); i++)
		listener->source.ready(&listener->source, EPOLLIN);
}

void balance_take_waiting(struct balance *balance)
{
	come_back(balance);
	listeners_of_connections(balance->gate->population, take_some);
}

int balance_open(struct balance *balance, const struct crew *crew, size_t index, struct gate *gate)
{
	*balance = (struct balance){ .crew = crew, .index = index, .gate = gate };
	return loop_timer_new(gate->population->loop->event, &balance->aside, on_aside_end, balance);
}

void balance_close(struct balance *balance)
{
	balance->aside = sd_event_source_disable_unref(balance->aside);
}
