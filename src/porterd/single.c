/* SPDX-License-Identifier: MIT
 *
 * Accept=yes: a process of its own for one client.
 */
#include "porterd/single.h"

#include <signal.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "kernel/sockopt.h"
#include "limits/instances.h"
#include "porterd/manager.h"
#include "porterd/times.h"
#include "record/message_id.h"

bool single_is_welcome(const struct config *config, struct recorder *recorder)
{
	_cleanup_free_ char *unit = NULL;
	struct instance instance = { 0 };
	size_t earlier = instance_find_own(&instance, &unit);

	if (earlier < quota_user_connections(config->connections_max, &config->quota))
		return true;

	record_begin(recorder, LOG_WARNING, MESSAGE_ID_QUOTA);
	record_format(recorder, "MESSAGE", "User %u has as much as one user may have: %zu connections to %.*s@.service",
		      instance.uid, earlier, (int)instance.name_length, instance.name);
	record_number(recorder, "PORTERD_CLIENT_UID", (int64_t)instance.uid);
	(void)record_submit(recorder);
	return false;
}

/* The socket of the one client, and how long it is waited for, for the signal handler. */
static volatile sig_atomic_t single_fd = -1;
static unsigned drain_seconds;

static void on_terminate(int number)
{
	int saved = errno;

	/* What was received before is still served, then the blocking receive finds the end. Nothing that
	 * happens between looking at a flag and blocking can be missed this way. A client that does not read
	 * its answers is given as long as in the loop. */
	(void)shutdown(single_fd, number == SIGALRM ? SHUT_RDWR : SHUT_RD);
	if (number != SIGALRM)
		(void)alarm(drain_seconds);
	errno = saved;
}

static void set_signals(int fd, const struct times *times)
{
	struct sigaction action = { .sa_handler = on_terminate };

	single_fd = fd;
	drain_seconds = (unsigned)(times->drain_usec / USEC_PER_SEC);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGALRM, &action, NULL);
}

int single_serve(const struct protocol *protocol, int fd, const struct config *config)
{
	struct times times = times_of(config);
	struct buffer buffer;
	int r = buffer_open(&buffer);

	if (r < 0)
		return r;

	(void)sockopt_refuse_rights(fd);
	(void)sockopt_limit_sending(fd, patience_usec(&config->patience, PATIENCE_READER));
	protocol_prepare(protocol, fd);
	set_signals(fd, &times);
	(void)sd_notify(false, "READY=1");

	/* However a client leaves, that is its own affair. */
	(void)protocol->serve(fd, &buffer);
	manager_tell_stopping(times.whole_usec);
	buffer_close(&buffer);
	return 0;
}
