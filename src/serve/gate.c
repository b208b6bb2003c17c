/* SPDX-License-Identifier: MIT
 *
 * When new clients are let in.
 */
#include "serve/gate.h"

#include "base/clock.h"
#include "record/message_id.h"
#include "serve/connection.h"
#include "serve/listener.h"

/* How long everybody waits after the kernel had nothing to give. */
#define PAUSE_USEC (100 * USEC_PER_MSEC)
/* Those who wait are let in again when so many connections have gone. */
#define FULL_HYSTERESIS 16

static void complain(struct gate *gate, const char *why)
{
	struct population *population = gate->population;

	if (!complaint_is_due(&gate->complaint))
		return;
	record_event(population->recorder, LOG_WARNING, MESSAGE_ID_PAUSED, "New clients wait: %s, with %zu connections",
		     why, population->n_connections);
}

static void close_gate(struct gate *gate)
{
	listeners_of_connections(gate->population, listener_pause);
}

void gate_pause(struct gate *gate, int error)
{
	close_gate(gate);
	loop_arm(gate->population->loop, gate->resume, PAUSE_USEC);
	complain(gate, strerror(error));
}

void gate_resume(struct gate *gate)
{
	if (!gate->population->closing && !gate->full)
		listeners_of_connections(gate->population, listener_resume);
}

void gate_shut(struct gate *gate)
{
	gate->population->closing = true;
	LIST_FOR_EACH(&gate->population->listeners, struct listener, listener, link)
		listener_pause(listener);
}

static int on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct gate *gate = userdata;
	struct population *population = gate->population;

	(void)source;
	(void)usec;
	LIST_FOR_EACH(&population->listeners, struct listener, listener, link)
		if (!population->closing && !(gate->full && listener_accepts(listener)))
			listener_resume(listener);
	LIST_FOR_EACH(&population->connections, struct connection, connection, link)
		connection_resume(connection);
	return 0;
}

static void open_gate(struct gate *gate)
{
	gate->full = false;
	gate_resume(gate);
}

void gate_connections_changed(struct gate *gate)
{
	size_t count = gate->population->n_connections;

	if (!gate->full && count >= gate->max) {
		gate->full = true;
		close_gate(gate);
		complain(gate, "there are as many as may be");
	} else if (gate->full && count + MIN_OF((size_t)FULL_HYSTERESIS, gate->max / 2 + 1) <= gate->max) {
		open_gate(gate);
	}
}

void gate_set_max(struct gate *gate, size_t max)
{
	gate->max = max;
	if (gate->full && gate->population->n_connections < max)
		open_gate(gate);
}

int gate_open(struct gate *gate, struct population *population)
{
	*gate = (struct gate){ .population = population };
	return loop_timer_new(population->loop->event, &gate->resume, on_resume, gate);
}

void gate_close(struct gate *gate)
{
	gate->resume = sd_event_source_unref(gate->resume);
}
