/* SPDX-License-Identifier: MIT
 *
 * porterd: meets every untrusted byte, and has no rights. This file starts it.
 */
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/opener_wire.h"
#include "kernel/host.h"
#include "porterd/manager.h"
#include "porterd/single.h"
#include "porterd/start.h"
#include "porterd/workers.h"
#include "record/message_id.h"

#define IDLE_SECONDS_DEFAULT 30

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
	const char *opener_path;
	uint64_t idle_usec;
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
		.opener_path = OPENER_SOCKET_PATH,
		.idle_usec = IDLE_SECONDS_DEFAULT * USEC_PER_SEC,
	};

	while ((option = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (option) {
		case OPTION_SERVE:
			options->serve = optarg;
			break;
		case OPTION_OPENER:
			options->opener_path = optarg;
			break;
		case OPTION_EXIT_IDLE:
			if (number_parse_seconds(optarg, &options->idle_usec) < 0) {
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

/* --- what this process is when it starts -------------------------------------------------------------------- */

static int enter_host(void)
{
	const char *host = getenv(HOST_ROOT_VARIABLE);
	int r = host ? host_enter(host) : 0;

	if (r < 0)
		(void)fprintf(stderr, "porterd: " HOST_ROOT_VARIABLE "=%s: %s\n", host, strerror(-r));
	return r;
}

static void prepare_process(void)
{
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
}

/* --- its sockets -------------------------------------------------------------------------------------------- */

static int report_wrong_start(struct recorder *recorder, int status, const char *message)
{
	record_event(recorder, LOG_ERR, MESSAGE_ID_WRONG_START, "%s", message);
	return status;
}

/* An exit status, or -1 to go on. */
static int take_sockets(struct start *start, const char *serve)
{
	int r = activation_take(&start->activation, serve);

	if (r == -ENODATA)
		return report_wrong_start(start->recorder, EX_USAGE,
					  "No sockets were handed over: porterd is started by systemd for its "
					  "sockets, try 'systemctl start porterd.socket', or for a test "
					  "'systemd-socket-activate --listen=PATH --fdname=varlink porterd'");
	if (r == -EINVAL && start->activation.error[0])
		return report_wrong_start(start->recorder, EX_CONFIG, start->activation.error);
	return r < 0 ? start_failed(start, "Can't take the sockets over", r) : -1;
}

static void renew_config(struct config *config, void *userdata)
{
	start_renew_config(userdata, config);
}

static int serve_single(struct start *start)
{
	struct activated *client = &start->activation.sockets[0];
	const struct config *config = &start->daemon.config;
	struct manager manager;
	int r;

	if (!single_is_welcome(config, start->recorder))
		return EXIT_SUCCESS;
	if (!client->protocol->serve) {
		manager_init(&manager);
		return start_daemon(start, &manager.master);
	}
	r = single_serve(client->protocol, client->fd, config);
	return r < 0 ? start_failed(start, "Can't start: a buffer to receive into", r) : EXIT_SUCCESS;
}

static int serve(struct start *start)
{
	size_t n_workers = start_read_config(start, &start->daemon.config);
	struct manager manager;

	start->daemon.renew = renew_config;
	start->daemon.userdata = start;
	if (start->activation.sockets[0].connected)
		return serve_single(start);

	start->n_workers = n_workers;
	/* Of several workers a slow one would forget what a fast one has just left there. */
	if (start->activation.n_kept > 0)
		handover_forget();
	if (n_workers > 1)
		return workers_serve(start);
	manager_init(&manager);
	return start_daemon(start, &manager.master);
}

int main(int argc, char **argv)
{
	_cleanup_(cleanup_recorder) struct recorder *recorder = NULL;
	struct options options;
	struct start start;
	int r, status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	if (enter_host() < 0)
		return EX_CONFIG;
	prepare_process();
	r = recorder_new(&recorder, "porterd");
	if (r < 0) {
		(void)fprintf(stderr, "porterd: Can't start: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}

	start = (struct start){
		.config_dir = options.config_dir,
		.daemon = { .idle_usec = options.idle_usec, .opener_path = options.opener_path },
		.recorder = recorder,
	};
	status = take_sockets(&start, options.serve);
	if (status < 0)
		status = serve(&start);
	activation_clear(&start.activation);
	return status;
}
