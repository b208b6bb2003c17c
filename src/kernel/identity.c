/* SPDX-License-Identifier: MIT
 *
 * Who is asking, as the kernel attests it.
 */
#include "kernel/identity.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>

#include "base/macro.h"
#include "kernel/host.h"
#include "kernel/process_unit.h"
#include "kernel/sockopt.h"

#define INVOCATION_ID_LENGTH 32

void identity_init(struct identity *identity)
{
	*identity = (struct identity){
		.uid = IDENTITY_UID_NOBODY,
		.gid = (gid_t)-1,
		.pidfd = -EBADF,
	};
}

void identity_clear(struct identity *identity)
{
	free(identity->groups);
	fd_close(identity->pidfd);
	free(identity->unit);
	free(identity->invocation_id);
	free(identity->label);
	identity_init(identity);
}

static int read_credentials(struct identity *identity, int socket_fd)
{
	struct ucred peer;
	int r = sockopt_peer_credentials(socket_fd, &peer);

	if (r < 0)
		return r;

	/* An unconnected socket, or one that is not AF_UNIX, answers pid 0 and uid -1 instead of an error. */
	if (peer.uid == (uid_t)-1)
		return -ENOTCONN;

	identity->uid = peer.uid;
	identity->gid = peer.gid;
	identity->pid = peer.pid;
	return 0;
}

static int read_groups(struct identity *identity, int socket_fd)
{
	int r = sockopt_peer_groups(socket_fd, &identity->groups, &identity->n_groups);

	if (r == -ENOMEM)
		return r;
	identity->has_groups = r >= 0;
	return 0;
}

static int read_label(struct identity *identity, int socket_fd)
{
	char label[SOCKIO_LABEL_MAX];

	if (sockopt_peer_label(socket_fd, label, sizeof(label)) < 0 || label[0] == '\0')
		return 0;

	identity->label = strdup(label);
	return identity->label ? 0 : -ENOMEM;
}

/* PID 1 keeps a link for every running unit, whose target is the ID. */
char *identity_invocation_id(const char *unit)
{
	char path[64 + 256], id[INVOCATION_ID_LENGTH + 1];
	_cleanup_close_ int link = -EBADF;
	ssize_t length;
	int r;

	r = snprintf(path, sizeof(path), "/run/systemd/units/invocation:%s", unit);
	if (r < 0 || (size_t)r >= sizeof(path))
		return NULL;

	link = host_open(path, O_PATH | O_NOFOLLOW);
	length = link < 0 ? -1 : readlinkat(link, "", id, sizeof(id));
	if (length != INVOCATION_ID_LENGTH)
		return NULL;
	for (ssize_t i = 0; i < length; i++)
		if (!isxdigit((unsigned char)id[i]))
			return NULL;
	return strndup(id, (size_t)length);
}

int identity_read_unit(struct identity *identity)
{
	_cleanup_free_ char *unit = NULL, *invocation_id = NULL;

	if (identity->known & IDENTITY_UNIT)
		return 0;
	identity->known |= IDENTITY_UNIT;

	/* A bare pid may be somebody else's by now. The pidfd vouches for it: as long as that process
	 * was not reaped, its pid names no other, so what was read before the check is its own. */
	if (identity->pidfd < 0 || identity->pid <= 0)
		return 0;

	if (process_unit(identity->pid, &unit) < 0)
		return 0;
	invocation_id = identity_invocation_id(unit);

	if (!identity_is_alive(identity))
		return 0;

	identity->unit = TAKE_POINTER(unit);
	identity->invocation_id = TAKE_POINTER(invocation_id);
	return 0;
}

int identity_read(struct identity *identity, int socket_fd, unsigned parts)
{
	unsigned missing;
	int r;

	if (parts & IDENTITY_UNIT)
		parts |= IDENTITY_PROCESS | IDENTITY_CREDENTIALS;
	missing = parts & ~identity->known;

	if (missing & IDENTITY_CREDENTIALS) {
		r = read_credentials(identity, socket_fd);
		if (r < 0)
			return r;
		identity->known |= IDENTITY_CREDENTIALS;
	}
	if (missing & IDENTITY_GROUPS) {
		r = read_groups(identity, socket_fd);
		if (r < 0)
			return r;
		identity->known |= IDENTITY_GROUPS;
	}
	if (missing & IDENTITY_PROCESS) {
		identity->pidfd = sockopt_peer_pidfd(socket_fd);
		identity->known |= IDENTITY_PROCESS;
	}
	if (missing & IDENTITY_LABEL) {
		r = read_label(identity, socket_fd);
		if (r < 0)
			return r;
		identity->known |= IDENTITY_LABEL;
	}
	if (missing & IDENTITY_UNIT)
		return identity_read_unit(identity);
	return 0;
}

int identity_from_sender(struct identity *identity, struct sockio_sender *sender)
{
	identity_clear(identity);
	if (!sender->attested)
		return -ENODATA;

	identity->uid = sender->credentials.uid;
	identity->gid = sender->credentials.gid;
	identity->pid = sender->credentials.pid;
	identity->pidfd = TAKE_FD(sender->pidfd);
	identity->known = IDENTITY_CREDENTIALS | IDENTITY_GROUPS | IDENTITY_PROCESS | IDENTITY_LABEL;

	if (sender->label[0] != '\0') {
		identity->label = strdup(sender->label);
		if (!identity->label)
			return -ENOMEM;
	}
	return 0;
}

bool identity_is_attested(const struct identity *identity)
{
	return (identity->known & IDENTITY_CREDENTIALS) && identity->uid != IDENTITY_UID_NOBODY &&
	       identity->uid != (uid_t)-1 && identity->pid > 0;
}

bool identity_is_alive(const struct identity *identity)
{
	struct pollfd process = { .fd = identity->pidfd, .events = POLLIN };

	/* A pidfd turns readable when its process has exited, even before it is reaped. */
	return identity->pidfd >= 0 && poll(&process, 1, 0) == 0;
}

bool identity_in_group(const struct identity *identity, gid_t gid)
{
	if (gid == (gid_t)-1 || gid == IDENTITY_GID_NOBODY)
		return false;
	if (identity->gid == gid)
		return true;
	for (size_t i = 0; i < identity->n_groups; i++)
		if (identity->groups[i] == gid)
			return true;
	return false;
}
