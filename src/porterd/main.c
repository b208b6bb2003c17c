/* SPDX-License-Identifier: MIT
 *
 * porterd: meets every untrusted byte, and has no rights. This file starts it.
 */
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/opener_wire.h"
#include "kernel/host.h"
#include "kernel/sockopt.h"
#include "porterd/activation.h"
#include "porterd/config.h"
#include "porterd/descriptors.h"
#include "porterd/handover.h"
#include "porterd/instances.h"
#include "porterd/server.h"
#include "porterd/services.h"
#include "porterd/supervisor.h"
#include "record/message_id.h"

#define IDLE_SECONDS_DEFAULT 30
/* So many workers there may be, however few descriptors. */
#define WORKERS_AT_ANY_LIMIT ((size_t)16)

static void print_help(void)
{
	printf("Usage: porterd [OPTION]...\n"
	       "Serves the sockets that systemd hands over: Varlink, credential checks and echo.\n"
	       "\n"
	       "  --serve=NAME         speak NAME on every socket, whatever its name:\n"
	       "                       varlink, credentials or echo\n"
	       "  --opener=PATH        socket of porterd-opener (%s)\n"
	       "  --exit-idle=SECONDS  exit after so long without a connection; 0: never (%d)\n"
	       "  --config-dir=DIR     read porterd.conf and porterd.conf.d/*.conf in DIR alone\n"
	       "  --help               show this\n"
	       "  --version            show the version\n"
	       "\n"
	       "It is started by its sockets: systemctl start porterd.socket\n"
	       "See porterd(8).\n",
	       OPENER_SOCKET_PATH, IDLE_SECONDS_DEFAULT);
}

struct options {
	const char *serve;
	const char *config_dir; /* NULL: the system's */
	struct server_options server;
};

/* An exit status, or -1 to go on. */
static int parse_options(int argc, char **argv, struct options *options)
{
	enum { OPTION_SERVE = 256, OPTION_OPENER, OPTION_EXIT_IDLE, OPTION_CONFIG_DIR, OPTION_HELP, OPTION_VERSION };
	static const struct option table[] = {
		{ "serve", required_argument, NULL, OPTION_SERVE },
		{ "opener", required_argument, NULL, OPTION_OPENER },
		{ "exit-idle", required_argument, NULL, OPTION_EXIT_IDLE },
		{ "config-dir", required_argument, NULL, OPTION_CONFIG_DIR },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*options = (struct options){
		.server.opener_path = OPENER_SOCKET_PATH,
		.server.idle_usec = IDLE_SECONDS_DEFAULT * USEC_PER_SEC,
	};

	while ((option = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (option) {
		case OPTION_SERVE:
			options->serve = optarg;
			break;
		case OPTION_OPENER:
			options->server.opener_path = optarg;
			break;
		case OPTION_EXIT_IDLE:
			if (number_parse_seconds(optarg, &options->server.idle_usec) < 0) {
				(void)fprintf(stderr, "porterd: --exit-idle=%s is not a number of seconds up to a year\n", optarg);
				return EX_USAGE;
			}
			break;
		case OPTION_CONFIG_DIR:
			options->config_dir = optarg;
			break;
		case OPTION_HELP:
			print_help();
			return EXIT_SUCCESS;
		case OPTION_VERSION:
			printf("porterd %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "porterd: it takes no arguments, but '%s' is one\n", argv[optind]);
		return EX_USAGE;
	}
	return -1;
}

static int report_wrong_start(struct recorder *recorder, int status, const char *message)
{
	record_begin(recorder, LOG_ERR, MESSAGE_ID_WRONG_START);
	record_field(recorder, "MESSAGE", message);
	(void)record_submit(recorder);
	return status;
}

static int report_failure(struct recorder *recorder, const char *what, int error)
{
	record_message(recorder, LOG_ERR, "%s: %s", what, strerror(-error));
	return EXIT_FAILURE;
}

/* The socket of the one client, for the signal handler. */
static volatile sig_atomic_t single_fd = -1;

static void on_terminate(int number)
{
	int saved = errno;

	/* What was received before is still served, then the blocking receive finds the end. Nothing that
	 * happens between looking at a flag and blocking can be missed this way. A client that does not read
	 * its answers is given as long as in the loop. */
	(void)shutdown(single_fd, number == SIGALRM ? SHUT_RDWR : SHUT_RD);
	if (number != SIGALRM)
		(void)alarm(SERVER_DRAIN_SECONDS);
	errno = saved;
}

/* Serves the one client by blocking calls. One that reads nothing is waited for no longer than in the loop. */
static int serve_single(const struct activated *client, const struct config *config, struct recorder *recorder)
{
	struct sigaction action = { .sa_handler = on_terminate };
	struct server_buffer buffer;
	int r = server_buffer_open(&buffer);

	if (r < 0)
		return report_failure(recorder, "Can't start", r);

	(void)sockopt_refuse_rights(client->fd);
	(void)sockopt_limit_sending(client->fd, patience_usec(&config->patience, PATIENCE_READER));
	socket_prepare(client->protocol, client->fd);
	single_fd = client->fd;
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGALRM, &action, NULL);
	(void)sd_notify(false, "READY=1");

	/* However a client leaves, that is its own affair. */
	(void)client->protocol->serve(client->fd, &buffer);
	(void)sd_notify(false, "STOPPING=1");
	server_buffer_close(&buffer);
	return EXIT_SUCCESS;
}

/* Datagrams are one worker's for each socket: their answers go out in their order, and what the kernel charges to
 * the socket is known to whoever sends. */
static bool is_for_worker(const struct worker *worker, const struct activated *activated, size_t *n_datagrams)
{
	return !worker || !activated->protocol->datagrams || (*n_datagrams)++ % worker->crew->count == worker->index;
}

/* Of the connections that the porterd before has left, each worker has its part; what is known of them, all have. */
static void share_kept(struct activation *activation, const struct worker *worker)
{
	size_t n_sockets = 0, n_own = 0;

	for (size_t i = 0; i < activation->n_kept; i++) {
		int fd = activation->kept[i];

		if (sd_is_socket(fd, AF_UNSPEC, 0, -1) > 0 && n_sockets++ % worker->crew->count != worker->index)
			fd_close(fd);
		else
			activation->kept[n_own++] = fd;
	}
	activation->n_kept = n_own;
}

static int serve_sockets(struct activation *activation, const struct server_options *options,
			 struct recorder *recorder)
{
	struct server server;
	size_t n_datagrams = 0;
	int r = server_open(&server, options, recorder);

	if (r < 0)
		return report_failure(recorder, "Can't start", r);

	for (size_t i = 0; r >= 0 && i < activation->count; i++) {
		struct activated *activated = &activation->sockets[i];
		int fd = TAKE_FD(activated->fd);

		if (activated->connected) {
			(void)sockopt_refuse_rights(fd);
			server.single = true;
			r = connection_add(&server, activated->protocol, fd);
		} else if (is_for_worker(options->worker, activated, &n_datagrams)) {
			r = listener_add(&server, activated->protocol, fd);
		} else {
			fd_close(fd);
		}
	}
	if (r >= 0) {
		handover_take(&server, activation->kept, activation->n_kept);
		activation->n_kept = 0;
		r = server_run(&server);
	}

	server_close(&server);
	return r < 0 ? report_failure(recorder, "Can't serve", r) : EXIT_SUCCESS;
}

struct work {
	const struct options *options;
	struct activation *activation;
	struct server_options server;
	struct recorder *recorder;
	size_t n_workers; /* 0: it is for one client alone */
	struct config *shared; /* with the workers */
};

/* With more, one request could ask for all that a worker may have under way: see descriptors_budget() in server.c. */
static size_t find_workers_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return WORKERS_AT_ANY_LIMIT;
	return MAX_OF(WORKERS_AT_ANY_LIMIT, (size_t)(limit.rlim_cur / 2 / DESCRIPTORS_LEAST));
}

/* Each worker needs a connection at least. */
static size_t count_workers(const struct config *config, struct recorder *recorder)
{
	size_t max = find_workers_max(), count = config->workers ? config->workers : worker_default_count();

	if (config->workers > max)
		record_message(recorder, LOG_WARNING, "Workers=%zu is more than LimitNOFILE= has descriptors for: %zu",
			       config->workers, max);
	count = MIN_OF(count, max);
	return MIN_OF(count, config->connections_max);
}

static size_t read_config(const struct work *work, struct config *config)
{
	*config = (struct config){ .connections_max = SERVER_CONNECTIONS_MAX };
	config_read(config, work->options->config_dir, work->recorder);
	return count_workers(config, work->recorder);
}

static void renew_config(struct config *config, void *userdata)
{
	const struct work *work = userdata;
	size_t n_workers = read_config(work, config);

	record_message(work->recorder, LOG_INFO, "porterd.conf was read anew");
	if (work->n_workers > 0 && n_workers != work->n_workers)
		record_message(work->recorder, LOG_NOTICE, "Another number of workers (%zu) comes with the next start; "
			       "a restart keeps connections", n_workers);
}

static void renew_shared(void *userdata)
{
	const struct work *work = userdata;
	struct config config;

	/* Not member by member while it is read: who reads it just now reads it again, for the signal that follows. */
	renew_config(&config, userdata);
	*work->shared = config;
}

/* A worker's part of what the supervisor has read just before. */
static void renew_worker(struct config *config, void *userdata)
{
	const struct work *work = userdata;
	const struct worker *worker = work->server.worker;

	*config = *work->shared;
	worker_share_limits(config, worker->index, worker->crew->count);
}

static int serve_as_worker(struct worker *worker, void *userdata)
{
	struct work *work = userdata;
	_cleanup_(cleanup_recorder) struct recorder *recorder = NULL;
	int r;

	/* Records are numbered by process. */
	work->recorder = recorder_free(work->recorder);
	r = recorder_new(&recorder, "porterd");
	if (r < 0)
		return EXIT_FAILURE;
	work->server.worker = worker;
	work->server.renew = renew_worker;
	renew_worker(&work->server.config, work);
	share_kept(work->activation, worker);
	return serve_sockets(work->activation, &work->server, recorder);
}

/* A worker that takes another's place must not find them again. */
static void forget_kept(void *userdata)
{
	struct work *work = userdata;

	activation_drop_kept(work->activation);
}

static int serve_by_workers(struct work *work)
{
	struct supervisor_options options = {
		.n_workers = work->n_workers,
		.serve = serve_as_worker,
		.started = forget_kept,
		.renew = renew_shared,
		.userdata = work,
	};

	work->shared = mmap(NULL, sizeof(*work->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (work->shared == MAP_FAILED)
		return report_failure(work->recorder, "Can't start", -errno);
	*work->shared = work->server.config;
	for (size_t i = 0; i < work->activation->count; i++)
		if (work->activation->sockets[i].fd >= options.first_free)
			options.first_free = work->activation->sockets[i].fd + 1;
	for (size_t i = 0; i < work->activation->n_kept; i++)
		if (work->activation->kept[i] >= options.first_free)
			options.first_free = work->activation->kept[i] + 1;
	if (work->activation->n_kept > 0)
		handover_forget();
	return supervisor_run(&options, work->recorder);
}

static int serve(struct activation *activation, const struct options *options, struct recorder *recorder)
{
	struct work work = {
		.options = options,
		.activation = activation,
		.server = options->server,
		.recorder = recorder,
	};
	const struct activated *first = &activation->sockets[0];
	const struct config *config = &work.server.config;

	work.n_workers = read_config(&work, &work.server.config);
	work.server.renew = renew_config;
	work.server.userdata = &work;
	if (first->connected &&
	    !instance_is_welcome(quota_user_connections(config->connections_max, &config->quota), recorder))
		return EXIT_SUCCESS;
	if (first->connected && first->protocol->serve)
		return serve_single(first, config, recorder);

	if (first->connected)
		work.n_workers = 0;
	if (work.n_workers > 1)
		return serve_by_workers(&work);
	return serve_sockets(activation, &work.server, recorder);
}

int main(int argc, char **argv)
{
	_cleanup_(cleanup_recorder) struct recorder *recorder = NULL;
	struct activation activation;
	struct options options;
	const char *host = getenv(HOST_ROOT_VARIABLE);
	int r, status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	r = host ? host_enter(host) : 0;
	if (r < 0) {
		(void)fprintf(stderr, "porterd: " HOST_ROOT_VARIABLE "=%s: %s\n", host, strerror(-r));
		return EX_CONFIG;
	}

	/* All processes of porterd are of one user. Who has taken one over, which may be that of a single client, shall not
	 * find the others' memory and sockets by tracing them. Installed, the program can't be read by that user (mode 0711),
	 * which has the same effect from exec() on. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* A reader of our stderr may go away; that is no reason to die. */
	(void)signal(SIGPIPE, SIG_IGN);
	/* Until it is waited for: in the echo of a single client no setting is read anew. */
	(void)signal(SIGHUP, SIG_IGN);
	/* The JSON library's hash seed: it would read it at the first request otherwise. */
	json_object_seed(0);

	r = recorder_new(&recorder, "porterd");
	if (r < 0) {
		(void)fprintf(stderr, "porterd: Can't start: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}

	r = activation_take(&activation, options.serve);
	if (r == -ENODATA)
		status = report_wrong_start(recorder, EX_USAGE,
					    "No sockets were handed over: porterd is started by systemd for its "
					    "sockets, try 'systemctl start porterd.socket', or for a test "
					    "'systemd-socket-activate --listen=PATH --fdname=varlink porterd'");
	else if (r == -EINVAL && activation.error[0])
		status = report_wrong_start(recorder, EX_CONFIG, activation.error);
	else if (r < 0)
		status = report_failure(recorder, "Can't take the sockets over", r);
	else
		status = serve(&activation, &options, recorder);

	activation_clear(&activation);
	return status;
}
