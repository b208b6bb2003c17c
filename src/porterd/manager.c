/* SPDX-License-Identifier: MIT
 *
 * The service manager as the daemon's master.
 */
#include "porterd/manager.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "handover/restart.h"
#include "porterd/status.h"

static struct manager *manager_of(const struct handover_way *way)
{
	return CONTAINER_OF(way, struct manager, master.way);
}

static int manager_open(struct master *master, struct gate *gate)
{
	(void)master;
	return sd_event_set_watchdog(gate->population->loop->event, true);
}

static void manager_close(struct master *master)
{
	(void)master;
}

static bool tell_ready(struct master *master)
{
	(void)master;
	return sd_notify(false, "READY=1") >= 0;
}

void manager_tell_stopping(uint64_t usec)
{
	(void)sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64, usec);
}

static bool manager_tell(struct master *master, enum daemon_state state)
{
	if (state == DAEMON_SERVING)
		return tell_ready(master);
	if (state == DAEMON_STOPPING)
		manager_tell_stopping(master->stop_usec);
	return true;
}

static void manager_tell_counts(struct master *master, const struct counts *counts)
{
	(void)master;
	status_tell(counts, "");
}

static void nothing(struct master *master)
{
	(void)master;
}

static void manager_begin_reload(struct master *master)
{
	(void)master;
	(void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
}

static int manager_restarts(struct master *master)
{
	return restart_follows(&CONTAINER_OF(master, struct manager, master)->store_room);
}

static size_t manager_take_room(const struct handover_way *way, size_t wanted)
{
	return MIN_OF(wanted, manager_of(way)->store_room);
}

static bool manager_store(const struct handover_way *way, const int *fds, size_t count)
{
	(void)way;
	return handover_store(fds, count);
}

static int manager_wait_stored(const struct handover_way *way)
{
	(void)way;
	return handover_wait_stored();
}

void manager_init(struct manager *manager)
{
	static const struct master_operations operations = {
		.open = manager_open,
		.close = manager_close,
		.tell = manager_tell,
		.tell_counts = manager_tell_counts,
		.busy = nothing,
		.connections_changed = nothing,
		.begin_reload = manager_begin_reload,
		.end_reload = tell_ready,
		.restarts = manager_restarts,
	};

	*manager = (struct manager){
		.master = {
			.way = {
				.take_room = manager_take_room,
				.store = manager_store,
				.wait_stored = manager_wait_stored,
			},
			.operations = &operations,
			.count = 1,
			.stops_idle = true,
		},
	};
}
