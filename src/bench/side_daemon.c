/* SPDX-License-Identifier: MIT
 *
 * porterd, and its opener, as servers of a case.
 */
#include "base/macro.h"
#include "bench/side.h"

#define OPTION_MAX 256

static int start_program(struct side *side, struct process *process, const char *const *arguments, int fd,
			 const char *name)
{
	struct process_socket socket = { .fd = fd, .name = name };
	char output[128];
	struct process_start start = {
		.arguments = arguments,
		.sockets = &socket,
		.n_sockets = 1,
		.cpu = side->world->places.server,
		.output = output,
	};

	world_path(side->world, "output", output, sizeof(output));
	return process_start(process, &start);
}

/* Starts porterd with this fd, which is consumed. `extra` is one more option, or NULL. */
static int start_porterd(struct side *side, struct process *process, int fd, const char *extra)
{
	_cleanup_close_ _unused_ int owned = fd;
	char config[OPTION_MAX];
	const char *arguments[] = { side->world->porterd, config, "--exit-idle=0", extra, NULL };

	if (fd < 0)
		return fd;
	(void)snprintf(config, sizeof(config), "--config-dir=%s/config", side->world->directory);
	return start_program(side, process, arguments, fd, side->service);
}

int side_start_porterd(struct side *side)
{
	int r = world_write_config(side->world, side->config ? side->config : "");

	if (r < 0)
		return r;
	return start_porterd(side, &side->servers[0],
			     world_listen(side->world, side->type, side->address, sizeof(side->address)),
			     NULL);
}

int side_start_porterd_accepted(struct side *side)
{
	int pair[2];

	if (socketpair(AF_UNIX, side->type | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	side->fd = pair[0];
	return start_porterd(side, &side->servers[0], pair[1], NULL);
}

int side_start_porterd_files(struct side *side)
{
	char opener_address[sizeof(side->address)], policy[OPTION_MAX], client[OPTION_MAX], option[OPTION_MAX];
	const char *arguments[] = { side->world->opener, policy, client, "--exit-idle=0", NULL };
	_cleanup_close_ int clients = world_listen(side->world, SOCK_STREAM, side->address, sizeof(side->address));
	_cleanup_close_ int fd = world_listen(side->world, SOCK_SEQPACKET, opener_address, sizeof(opener_address));
	int r = clients < 0 ? clients : fd;

	if (r >= 0)
		r = world_write_config(side->world, "");
	if (r < 0)
		return r;
	(void)snprintf(policy, sizeof(policy), "--config-dir=%s/policy", side->world->directory);
	(void)snprintf(client, sizeof(client), "--client-socket=%s", side->address);
	r = start_program(side, &side->servers[1], arguments, fd, "opener");
	if (r < 0)
		return r;
	(void)snprintf(option, sizeof(option), "--opener=%s", opener_address);
	return start_porterd(side, &side->servers[0], TAKE_FD(clients), option);
}
