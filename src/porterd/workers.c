/* SPDX-License-Identifier: MIT
 *
 * Several processes that serve the same sockets.
 */
#include "porterd/workers.h"

#include <sys/mman.h>

#include "crew/supervisor.h"
#include "handover/restart.h"
#include "porterd/member.h"
#include "porterd/status.h"

struct workers {
	struct start *start;
	struct config *config; /* shared memory: what the supervisor has read */
	struct supervisor_times times;
};

static void set_config(struct workers *workers, const struct config *config)
{
	const struct times times = times_of(config);

	*workers->config = *config;
	workers->times = (struct supervisor_times){
		.stop_usec = times.stop_usec,
		.hand_over_usec = times.hand_over_usec,
		.whole_usec = times.whole_usec,
	};
}

/* A worker's part of what the supervisor has read just before. */
static void renew_worker(struct config *config, void *userdata)
{
	const struct worker *worker = userdata;
	const struct workers *workers = worker->userdata;

	*config = *workers->config;
	config_share(config, worker->index, worker->crew->count);
}

static int serve_as_worker(struct worker *worker, void *userdata)
{
	const struct workers *workers = userdata;
	_cleanup_(cleanup_recorder) struct recorder *recorder = NULL;
	struct start *start = workers->start;
	struct member member;
	int r;

	/* Records are numbered by process. */
	recorder_free(start->recorder);
	r = recorder_new(&recorder, "porterd");
	start->recorder = recorder;
	if (r < 0)
		return EXIT_FAILURE;
	worker->userdata = userdata;
	member_init(&member, worker);
	start->daemon.renew = renew_worker;
	start->daemon.userdata = worker;
	renew_worker(&start->daemon.config, worker);
	return start_daemon(start, &member.master);
}

static void renew_shared(void *userdata)
{
	struct workers *workers = userdata;
	struct config config;

	/* Not member by member while it is read: who reads it just now reads it again, for the signal that follows. */
	start_renew_config(workers->start, &config);
	set_config(workers, &config);
}

/* A worker that takes another's place must not find them again. */
static void forget_kept(void *userdata)
{
	struct workers *workers = userdata;

	activation_drop_kept(&workers->start->activation);
}

/* The first number above all sockets. */
static int first_free(const struct activation *activation)
{
	int first = 0;

	for (size_t i = 0; i < activation->count; i++)
		first = MAX_OF(first, activation->sockets[i].fd + 1);
	for (size_t i = 0; i < activation->n_kept; i++)
		first = MAX_OF(first, activation->kept[i] + 1);
	return first;
}

int workers_serve(struct start *start)
{
	struct workers workers = { .start = start };
	const struct supervisor_options options = {
		.n_workers = start->n_workers,
		.first_free = first_free(&start->activation),
		.serve = serve_as_worker,
		.started = forget_kept,
		.renew = renew_shared,
		.restarts = restart_follows,
		.store = handover_store,
		.wait_stored = handover_wait_stored,
		.tell = status_tell,
		.userdata = &workers,
		.times = &workers.times,
	};
	void *shared = mmap(NULL, sizeof(*workers.config), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		return start_failed(start, "Can't start: memory that workers share", -errno);
	workers.config = shared;
	set_config(&workers, &start->daemon.config);
	return supervisor_run(&options, start->recorder);
}
