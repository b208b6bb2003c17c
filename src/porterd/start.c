/* SPDX-License-Identifier: MIT
 *
 * From the sockets that were handed over to a daemon that serves them.
 */
#include "porterd/start.h"

#include <systemd/sd-daemon.h>

#include "porterd/budget.h"
#include "crew/crew.h"
#include "serve/listener.h"
#include "services/table.h"

int start_failed(const struct start *start, const char *what, int error)
{
	record_message(start->recorder, LOG_ERR, "%s: %s", what, strerror(-error));
	return EXIT_FAILURE;
}

/* --- settings ---------------------------------------------------------------------------------------------- */

/* Each worker needs a connection at least. */
static size_t count_workers(const struct config *config, struct recorder *recorder)
{
	size_t max = budget_workers(), count = config->workers ? config->workers : crew_default_count();

	if (config->workers > max)
		record_message(recorder, LOG_WARNING, "Workers=%zu is more than LimitNOFILE= has descriptors for: %zu",
			       config->workers, max);
	count = MIN_OF(count, max);
	return MIN_OF(count, config->connections_max);
}

size_t start_read_config(const struct start *start, struct config *config)
{
	config_read(config, start->config_dir, start->recorder);
	return count_workers(config, start->recorder);
}

void start_renew_config(const struct start *start, struct config *config)
{
	size_t n_workers = start_read_config(start, config);

	record_message(start->recorder, LOG_INFO, "porterd.conf was read anew");
	if (start->n_workers > 0 && n_workers != start->n_workers)
		record_message(start->recorder, LOG_NOTICE, "Another number of workers (%zu) comes with the next start; "
			       "a restart keeps connections", n_workers);
}

/* --- sockets ----------------------------------------------------------------------------------------------- */

/* Datagrams are one worker's for each socket: their answers go out in their order, and what the kernel charges to
 * the socket is known to whoever sends. */
static bool is_for_process(const struct master *master, const struct protocol *protocol, size_t *n_datagrams)
{
	return !protocol->datagrams || (*n_datagrams)++ % master->count == master->index;
}

/* Of the connections that the porterd before has left, each process has its part; what is known of them, all have. */
static void share_kept(struct activation *activation, const struct master *master)
{
	size_t n_sockets = 0, n_own = 0;

	for (size_t i = 0; i < activation->n_kept; i++) {
		int fd = activation->kept[i];

		if (sd_is_socket(fd, AF_UNSPEC, 0, -1) > 0 && n_sockets++ % master->count != master->index)
			fd_close(fd);
		else
			activation->kept[n_own++] = fd;
	}
	activation->n_kept = n_own;
}

static int add_sockets(struct daemon *daemon, struct activation *activation)
{
	size_t n_datagrams = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < activation->count; i++) {
		struct activated *activated = &activation->sockets[i];
		int fd = TAKE_FD(activated->fd);

		if (activated->connected)
			r = daemon_add_single(daemon, activated->protocol, fd);
		else if (is_for_process(daemon->master, activated->protocol, &n_datagrams))
			r = listener_add(&daemon->population, activated->protocol, fd);
		else
			fd_close(fd);
	}
	return r;
}

int start_daemon(struct start *start, struct master *master)
{
	struct activation *activation = &start->activation;
	struct daemon daemon;
	const char *what;
	int r = daemon_open(&daemon, &start->daemon, master, start->recorder, &what);

	if (r < 0) {
		char text[128];

		(void)snprintf(text, sizeof(text), "Can't start: %s", what);
		return start_failed(start, text, r);
	}
	r = add_sockets(&daemon, activation);
	if (r >= 0) {
		share_kept(activation, master);
		handover_take(&daemon.population, service_find, activation->kept, activation->n_kept);
		activation->n_kept = 0;
		r = daemon_run(&daemon);
	}
	daemon_close(&daemon);
	return r < 0 ? start_failed(start, "Can't serve", r) : EXIT_SUCCESS;
}
