/* SPDX-License-Identifier: MIT
 *
 * porterd-opener: opens files by policy for porterd's clients. This file takes the sockets and starts it.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/memory.h"
#include "base/number.h"
#include "kernel/host.h"
#include "kernel/listen_fds.h"
#include "opener/serving/opener.h"
#include "opener/policy/policy.h"
#include "record/message_id.h"
#include "record/record.h"

#define PORTERD_USER "porterd"
#define FD_NAME "opener"
#define EXIT_IDLE_SECONDS 30
#define CLIENT_SOCKETS_MAX 16

/* Where porterd.socket and porterd-isolated.socket listen. */
static const char *const standard_sockets[] = { "/run/porterd/io.porterd", "/run/porterd/isolated/io.porterd" };

struct options {
	const char *config_dir; /* NULL: the system's */
	uint64_t exit_idle_usec; /* 0: never */
	bool check_policy; /* and do nothing else */
	const char *sockets[CLIENT_SOCKETS_MAX + ELEMENTSOF(standard_sockets) + 1]; /* where clients connect */
	size_t n_sockets;
};

static void print_help(void)
{
	printf("Usage: porterd-opener [OPTION]...\n"
	       "Opens files by policy for porterd's clients. Takes its sockets from systemd.\n"
	       "\n"
	       "  --config-dir=DIR      read files.conf and files.conf.d/*.conf in DIR alone (for tests: whoever\n"
	       "                        runs the opener may connect to it, too)\n"
	       "  --client-socket=PATH  clients connect to porterd here, too; repeatable. With --config-dir=: nowhere\n"
	       "                        else, or, if it is not given, anywhere\n"
	       "  --check-policy        read the policy, say what is wrong with it, and exit\n"
	       "  --exit-idle=SECONDS   exit after that long without a connection, 0: never (default %d)\n"
	       "  --help                show this\n"
	       "  --version             show the version\n"
	       "\n"
	       "See porterd-opener(8) and porterd-files.conf(5).\n",
	       EXIT_IDLE_SECONDS);
}

/* A path, or "@" and an abstract name. */
static bool add_socket(struct options *options, const char *address)
{
	if ((address[0] != '/' && address[0] != '@') || address[1] == '\0' ||
	    options->n_sockets >= CLIENT_SOCKETS_MAX)
		return false;
	options->sockets[options->n_sockets++] = address;
	return true;
}

/* -1 to go on, otherwise the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {
		{ "config-dir", required_argument, NULL, 'c' },
		{ "client-socket", required_argument, NULL, 's' },
		{ "check-policy", no_argument, NULL, 'p' },
		{ "exit-idle", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", table, NULL)) >= 0;)
		switch (c) {
		case 'c':
			options->config_dir = optarg;
			break;
		case 's':
			if (add_socket(options, optarg))
				break;
			(void)fprintf(stderr, "porterd-opener: --client-socket=%s: not an absolute path or @NAME, or "
				      "more than %d of them\n", optarg, CLIENT_SOCKETS_MAX);
			return EX_USAGE;
		case 'p':
			options->check_policy = true;
			break;
		case 'i':
			if (number_parse_seconds(optarg, &options->exit_idle_usec) >= 0)
				break;
			(void)fprintf(stderr, "porterd-opener: --exit-idle=%s: not a number of seconds up to a year\n",
				      optarg);
			return EX_USAGE;
		case 'h':
			print_help();
			return EXIT_SUCCESS;
		case 'v':
			printf("porterd-opener %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			return EX_USAGE;
		}

	if (optind < argc) {
		(void)fprintf(stderr, "porterd-opener: %s: not an option; see --help\n", argv[optind]);
		return EX_USAGE;
	}
	return -1;
}

/* Who may connect: user porterd, looked up once. A test has no such user and asks for itself. */
static int find_users(struct recorder *recorder, const struct options *options, struct opener_options *ret)
{
	struct passwd *user;

	/* Look-ups take it for granted that there is memory. */
	errno = -memory_reserve(MEMORY_FOR_LOOK_UP);
	user = errno ? NULL : getpwnam(PORTERD_USER);
	if (user)
		ret->users[ret->n_users++] = user->pw_uid;
	if (options->config_dir)
		ret->users[ret->n_users++] = getuid();

	if (ret->n_users == 0)
		record_event(recorder, LOG_ERR, MESSAGE_ID_WRONG_START, "There is no user " PORTERD_USER
			     ", who alone may ask the opener%s%s; systemd-sysusers(8) makes it", errno ? ": " : "",
			     errno ? strerror(errno) : "");
	return ret->n_users > 0 ? -1 : EX_CONFIG;
}

static int find_directories(struct recorder *recorder, const struct options *options, char **real,
			    struct policy_source *ret)
{
	if (!options->config_dir) {
		/* From the vendor's to the administrator's. */
		*ret = (struct policy_source){
			.directories = { "/usr/lib/porterd", "/run/porterd", SYSCONFDIR "/porterd" },
		};
		return -1;
	}

	*real = realpath(options->config_dir, NULL);
	if (!*real) {
		record_event(recorder, LOG_ERR, MESSAGE_ID_WRONG_START, "--config-dir=%s: %s",
			     options->config_dir, strerror(errno));
		return EX_CONFIG;
	}
	*ret = (struct policy_source){ .directories = { *real }, .owner = getuid() };
	return -1;
}

static void print_error(const struct policy_error *error, void *data)
{
	(void)data;
	(void)fprintf(stderr, "%s\n", error->message);
}

/* Before it is put in force: a reload can only keep the one before, and a start grants nothing that is wrong. */
static int check_policy(struct recorder *recorder, const struct options *options)
{
	_cleanup_(cleanup_policy) struct policy *policy = NULL;
	_cleanup_free_ char *real = NULL;
	struct policy_source source;
	char counts[POLICY_COUNTS_SIZE];
	int r = find_directories(recorder, options, &real, &source);

	if (r >= 0)
		return r;
	r = policy_load(&policy, &source, print_error, NULL);
	if (r < 0) {
		record_event(recorder, LOG_ERR, NULL, "The policy can't be read: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	policy_write_counts(policy, counts);
	printf("%s\n", counts);
	if (fflush(stdout) != 0)
		return EXIT_FAILURE;
	return policy->n_errors > 0 ? EX_CONFIG : EXIT_SUCCESS;
}

/* Is what systemd passed what the opener serves? */
static int check_sockets(struct recorder *recorder, int n_fds, char **names)
{
	for (int i = 0; i < n_fds; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (strcmp(names[i], FD_NAME) == 0 && sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) > 0)
			continue;
		record_event(recorder, LOG_ERR, MESSAGE_ID_WRONG_START, "Descriptor %d (\"%s\") is not what the opener "
			     "serves: a listening AF_UNIX seqpacket socket with FileDescriptorName=" FD_NAME,
			     fd, names[i]);
		return EX_CONFIG;
	}
	return -1;
}

static int take_sockets(struct recorder *recorder, struct opener *opener, int n_fds)
{
	for (int i = 0; i < n_fds; i++) {
		int fd = SD_LISTEN_FDS_START + i, flags = fcntl(fd, F_GETFL), r;

		/* Another process may take the connection that woke us: accept() must not wait for the next. */
		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
			r = -errno;
		else
			r = opener_add_listener(opener, fd);
		if (r < 0) {
			record_event(recorder, LOG_ERR, MESSAGE_ID_WRONG_START, "Descriptor %d can't be served: %s", fd,
				     strerror(-r));
			return EX_CONFIG;
		}
	}
	return -1;
}

/* NULL: anywhere. */
static const char *const *find_client_sockets(struct options *options)
{
	if (options->config_dir)
		return options->n_sockets > 0 ? options->sockets : NULL;
	for (size_t i = 0; i < ELEMENTSOF(standard_sockets); i++)
		options->sockets[options->n_sockets++] = standard_sockets[i];
	return options->sockets;
}

static int run(struct recorder *recorder, struct options *options)
{
	_cleanup_(cleanup_opener) struct opener *opener = NULL;
	_cleanup_(cleanup_listen_names) char **names = NULL;
	_cleanup_free_ char *real = NULL;
	struct opener_options opener_options = { .exit_idle_usec = options->exit_idle_usec };
	char error[LISTEN_FDS_ERROR_SIZE];
	const char *step;
	int n_fds = listen_fds_take(&names, error), r;

	if (n_fds == -EINVAL) {
		record_event(recorder, LOG_ERR, MESSAGE_ID_WRONG_START, "%s", error);
		return EX_CONFIG;
	}
	if (n_fds < 0) {
		record_event(recorder, LOG_ERR, MESSAGE_ID_WRONG_START, "porterd-opener got no socket. systemd starts "
			     "it when porterd needs it: systemctl start porterd-opener.socket. By hand: "
			     "systemd-socket-activate --seqpacket --fdname=" FD_NAME " --listen=PATH porterd-opener");
		return EX_USAGE;
	}

	r = check_sockets(recorder, n_fds, names);
	if (r < 0)
		r = find_users(recorder, options, &opener_options);
	if (r < 0)
		r = find_directories(recorder, options, &real, &opener_options.source);
	if (r >= 0)
		return r;

	opener_options.sockets = find_client_sockets(options);
	r = opener_new(&opener, recorder, &opener_options, &step);
	if (r < 0) {
		record_event(recorder, LOG_ERR, NULL, "The opener can't start: %s failed: %s", step, strerror(-r));
		return EXIT_FAILURE;
	}
	r = take_sockets(recorder, opener, n_fds);
	if (r >= 0)
		return r;

	r = opener_run(opener);
	if (r < 0)
		record_event(recorder, LOG_ERR, NULL, "The opener failed: %s", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* -1 to go on, otherwise the exit status. */
static int enter_host(void)
{
	const char *host = getenv(HOST_ROOT_VARIABLE);
	int r = host ? host_enter(host) : 0;

	if (r >= 0)
		return -1;
	(void)fprintf(stderr, "porterd-opener: " HOST_ROOT_VARIABLE "=%s: %s\n", host, strerror(-r));
	return EX_CONFIG;
}

/* sd-event takes them from a signalfd, for which they must be blocked. */
static void block_signals(void)
{
	sigset_t signals;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
}

int main(int argc, char **argv)
{
	_cleanup_(cleanup_recorder) struct recorder *recorder = NULL;
	struct options options = { .exit_idle_usec = EXIT_IDLE_SECONDS * USEC_PER_SEC };
	int r = parse_options(argc, argv, &options);

	if (r < 0)
		r = enter_host();
	if (r >= 0)
		return r;

	if (!options.check_policy)
		block_signals();
	(void)signal(SIGPIPE, SIG_IGN);
	r = recorder_new(&recorder, "porterd-opener");
	if (r < 0) {
		(void)fprintf(stderr, "porterd-opener: no records can be made: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	return options.check_policy ? check_policy(recorder, &options) : run(recorder, &options);
}
