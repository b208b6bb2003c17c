/* SPDX-License-Identifier: MIT
 *
 * The supervisor of a crew as the daemon's master.
 */
#include "porterd/member.h"

static struct member *member_of(struct master *master)
{
	return CONTAINER_OF(master, struct member, master);
}

static struct worker *worker_of(struct master *master)
{
	return member_of(master)->worker;
}

static const struct worker *worker_of_way(const struct handover_way *way)
{
	return CONTAINER_OF(way, struct member, master.way)->worker;
}

static int member_open(struct master *master, struct gate *gate)
{
	struct worker *worker = worker_of(master);

	worker->orders = (struct worker_orders){
		.hand_over = master->hand_over,
		.retire = master->stop_if_idle,
		.to = master->daemon,
	};
	return worker_open(worker, gate);
}

static void member_close(struct master *master)
{
	worker_close(worker_of(master));
}

static bool member_tell(struct master *master, enum daemon_state state)
{
	static const enum worker_state states[] = {
		[DAEMON_SERVING] = WORKER_SERVING,
		[DAEMON_IDLE] = WORKER_IDLE,
		[DAEMON_STOPPING] = WORKER_STOPPING,
	};

	worker_tell(worker_of(master), states[state]);
	return true;
}

static void member_tell_counts(struct master *master, const struct counts *counts)
{
	worker_tell_counts(worker_of(master), counts);
}

static void member_busy(struct master *master)
{
	if (worker_is_idle(worker_of(master)))
		worker_tell(worker_of(master), WORKER_SERVING);
}

static void member_connections_changed(struct master *master)
{
	worker_connections_changed(worker_of(master));
}

static void member_begin_reload(struct master *master)
{
	member_of(master)->settings = worker_settings(worker_of(master));
}

static bool member_end_reload(struct master *master)
{
	worker_tell_settings(worker_of(master), member_of(master)->settings);
	return true;
}

/* The supervisor has asked already, and says it by another signal. */
static int member_restarts(struct master *master)
{
	(void)master;
	return 0;
}

static size_t member_take_room(const struct handover_way *way, size_t wanted)
{
	return worker_take_room(worker_of_way(way), wanted);
}

/* systemd listens to the main process only, so a worker's go through that one, which also waits for systemd. */
static bool member_store(const struct handover_way *way, const int *fds, size_t count)
{
	return worker_pass_fds(worker_of_way(way), fds, count) >= 0;
}

static int member_wait_stored(const struct handover_way *way)
{
	(void)way;
	return 0;
}

void member_init(struct member *member, struct worker *worker)
{
	static const struct master_operations operations = {
		.open = member_open,
		.close = member_close,
		.tell = member_tell,
		.tell_counts = member_tell_counts,
		.busy = member_busy,
		.connections_changed = member_connections_changed,
		.begin_reload = member_begin_reload,
		.end_reload = member_end_reload,
		.restarts = member_restarts,
	};

	*member = (struct member){
		.master = {
			.way = {
				.take_room = member_take_room,
				.store = member_store,
				.wait_stored = member_wait_stored,
			},
			.operations = &operations,
			.index = worker->index,
			.count = worker->crew->count,
		},
		.worker = worker,
	};
}
