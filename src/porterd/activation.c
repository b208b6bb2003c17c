/* SPDX-License-Identifier: MIT
 *
 * The sockets that systemd handed over.
 */
#include "porterd/activation.h"

#include <sys/socket.h>

#include "handover/handover.h"
#include "services/table.h"

/* How a socket of that protocol is served: 1: as a connection, 0: it listens or takes datagrams, -1: it is no such one. */
static int match(int fd, const struct protocol *protocol)
{
	int family = protocol->unix_only ? AF_UNIX : AF_UNSPEC;

	if (protocol->type == SOCK_DGRAM)
		return sd_is_socket(fd, family, SOCK_DGRAM, -1) > 0 ? 0 : -1;
	if (sd_is_socket(fd, family, protocol->type, 1) > 0)
		return 0;
	return sd_is_socket(fd, family, protocol->type, 0) > 0 ? 1 : -1;
}

/* What UAPI.20's own activation hands over, and other programs that know no names: one listening stream, alone. */
static bool is_unnamed_varlink(int fd, const char *name, int count)
{
	return count == 1 && strcmp(name, "unknown") == 0 && sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0;
}

/* Fills in the protocol for the socket; -EINVAL with the error set. */
static int identify_socket(struct activation *activation, struct activated *socket, const char *name)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	bool stranger;

	if (!service_is_known(name)) {
		(void)snprintf(activation->error, sizeof(activation->error),
			       "fd %d has the name '%s'; known are varlink, credentials and echo "
			       "(FileDescriptorName= of its socket unit, or --serve=)",
			       socket->fd, name);
		return -EINVAL;
	}

	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		const struct protocol *protocol = service_find(name, types[i]);
		int matched = protocol ? match(socket->fd, protocol) : -1;

		if (matched < 0)
			continue;
		socket->protocol = protocol;
		socket->connected = matched > 0;
		return 0;
	}

	stranger = sd_is_socket(socket->fd, AF_UNSPEC, 0, -1) > 0 && sd_is_socket(socket->fd, AF_UNIX, 0, -1) <= 0;
	(void)snprintf(activation->error, sizeof(activation->error),
		       stranger ? "fd %d (%s) is not an AF_UNIX socket: %s identifies its clients, and only "
				  "AF_UNIX tells who they are"
				: "fd %d (%s) is not a socket of a type that %s is served on",
		       socket->fd, name, name);
	return -EINVAL;
}

/* A connected socket is a process's only one. */
static int check_together(struct activation *activation)
{
	for (size_t i = 0; i < activation->count; i++) {
		struct sockaddr_storage peer;
		socklen_t size = sizeof(peer);

		if (!activation->sockets[i].connected)
			continue;
		if (activation->count > 1) {
			(void)snprintf(activation->error, sizeof(activation->error),
				       "fd %d does not listen, and a process serves one connection (Accept=yes) or "
				       "listening sockets (Accept=no), not both",
				       activation->sockets[i].fd);
			return -EINVAL;
		}
		/* An AF_UNIX socket keeps its peer's name when the peer has left; TCP forgets it, and is believed. */
		if (getpeername(activation->sockets[i].fd, (struct sockaddr *)&peer, &size) < 0 &&
		    errno == ENOTCONN && sd_is_socket(activation->sockets[i].fd, AF_UNIX, 0, -1) > 0) {
			(void)snprintf(activation->error, sizeof(activation->error),
				       "fd %d neither listens nor is connected", activation->sockets[i].fd);
			return -EINVAL;
		}
	}
	return 0;
}

/* One of what systemd handed over; its descriptor is the activation's from here on. */
static int take_fd(struct activation *activation, int fd, const char *name)
{
	struct activated *socket = &activation->sockets[activation->count];

	if (strcmp(name, HANDOVER_NAME) == 0) {
		activation->kept[activation->n_kept++] = fd;
		return 0;
	}
	socket->fd = fd;
	activation->count++;
	/* The first fault is the one that is told. */
	return activation->error[0] ? -EINVAL : identify_socket(activation, socket, name);
}

static int take_fds(struct activation *activation, int count, char *const *names, const char *serve)
{
	int r = 0;

	activation->sockets = calloc((size_t)count, sizeof(*activation->sockets));
	activation->kept = calloc((size_t)count, sizeof(*activation->kept));
	if (!activation->sockets || !activation->kept)
		return -ENOMEM;
	for (int i = 0; i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i, error;
		const char *name = names[i];

		if (strcmp(name, HANDOVER_NAME) != 0)
			name = serve ? serve : is_unnamed_varlink(fd, name, count) ? "varlink" : name;
		error = take_fd(activation, fd, name);
		r = r < 0 ? r : error;
	}
	return r;
}

int activation_take(struct activation *activation, const char *serve)
{
	_cleanup_(cleanup_listen_names) char **names = NULL;
	int count, r;

	*activation = (struct activation){ 0 };
	count = listen_fds_take(&names, activation->error);
	if (count < 0)
		return count;
	r = take_fds(activation, count, names, serve);
	if (r >= 0 && activation->count == 0)
		r = -ENODATA;
	return r < 0 ? r : check_together(activation);
}

void activation_drop_kept(struct activation *activation)
{
	for (size_t i = 0; i < activation->n_kept; i++)
		fd_close(activation->kept[i]);
	activation->n_kept = 0;
}

void activation_clear(struct activation *activation)
{
	for (size_t i = 0; i < activation->count; i++)
		fd_close(activation->sockets[i].fd);
	activation_drop_kept(activation);
	free(activation->sockets);
	free(activation->kept);
	*activation = (struct activation){ 0 };
}
