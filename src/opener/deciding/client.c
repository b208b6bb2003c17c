/* SPDX-License-Identifier: MIT
 *
 * The client behind a request.
 */
#include "opener/deciding/client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/macro.h"
#include "kernel/sockopt.h"

void client_init(struct client *client)
{
	*client = (struct client){ 0 };
	identity_init(&client->identity);
}

void client_clear(struct client *client)
{
	identity_clear(&client->identity);
	client_init(client);
}

static int get_int(int fd, int option)
{
	int value;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -errno : value;
}

enum binding {
	UNBOUND,
	AUTOBOUND, /* the name has the form of those that the kernel chooses */
	BOUND,
};

/* Five digits, as unix_autobind() makes them. Whoever likes can choose such a name, too. */
static bool is_autobound(const struct sockaddr_un *address, size_t length)
{
	if (length != 6 || address->sun_path[0] != '\0')
		return false;
	for (size_t i = 1; i < length; i++)
		if (!strchr("0123456789abcdef", address->sun_path[i]) || address->sun_path[i] == '\0')
			return false;
	return true;
}

/* Of this end of the connection, or the peer's. -errno. */
static int find_binding(int fd, bool peer)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);
	int r;

	if (peer)
		r = getpeername(fd, (struct sockaddr *)&address, &size);
	else
		r = getsockname(fd, (struct sockaddr *)&address, &size);
	if (r < 0)
		return -errno;
	if (size <= offsetof(struct sockaddr_un, sun_path))
		return UNBOUND;
	return is_autobound(&address, size - offsetof(struct sockaddr_un, sun_path)) ? AUTOBOUND : BOUND;
}

/* An fd of a socket belongs to the user who made it: by accept(), or by socketpair(). */
static bool is_made_by(int fd, uid_t uid)
{
	struct stat status;

	return fstat(fd, &status) == 0 && (status.st_uid == uid || status.st_uid == 0 || status.st_uid == geteuid());
}

/* Does a pair of sockets say of its maker that it is this one? */
static bool is_pair_of(int fd, const struct ucred *asker)
{
	struct ucred maker;

	return sockopt_peer_credentials(fd, &maker) >= 0 && maker.pid > 0 && maker.pid == asker->pid &&
	       maker.uid == asker->uid && maker.gid == asker->gid;
}

/* Is this end's address one of these? Someone may have connected to another service of porterd's, or to a socket
 * that porterd made itself, without a thought of files: such a connection stands for nobody's question. The
 * address is as it was given to bind(): who has bound it where clients look for it, they meant to ask. */
static bool is_at(int fd, const char *const *sockets, bool paths_only)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof(address);
	char name[sizeof(address.sun_path) + 1] = "";
	size_t length;

	if (!sockets)
		return true;
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
	    size <= offsetof(struct sockaddr_un, sun_path))
		return false;
	length = MIN_OF((size_t)size - offsetof(struct sockaddr_un, sun_path), sizeof(address.sun_path));
	memcpy(name, address.sun_path, length);
	if (name[0] == '\0') {
		/* An abstract name may hold NULs, which no name in the list does. */
		if (memchr(name + 1, '\0', length - 1))
			return false;
		name[0] = '@';
	}

	if (paths_only && name[0] != '/')
		return false;
	for (; *sockets; sockets++)
		if (strcmp(*sockets, name) == 0)
			return true;
	return false;
}

/* SO_PEERCRED names the client only at the accepted end. At the connecting end it names whoever called
 * listen(), and a listening socket names its own listener: both are PID 1, uid 0, for every socket that systemd
 * holds, and porterd can have such an fd of itself by connecting anywhere. The ends are told apart by their
 * addresses. Only a bound socket can listen, and its address is that of every end that it accepts; so the
 * accepted end is bound, and the other one, seen from there, is not, unless that client bound it.
 *
 * The kernel binds a client by itself that has set SO_PASSCRED or SO_PASSPIDFD before it connects, to an abstract name of
 * its choice (unix_stream_connect() calls unix_autobind()). Such a peer is taken where two things speak for this end: it
 * has the path of one of the sockets, and porterd or PID 1 made it. To be the connecting end it would have been bound to
 * that path by one of them. PID 1 does not connect from there. For porterd the path is taken, in a directory of root's,
 * and its sandbox makes no other file system to bind it in. (That of a process for one client does not keep it from that.
 * It would still need a listener of somebody's that has such a name.) An abstract name proves less: each network
 * namespace has all of them. And a name that a program chose stays refused: that is what listeners have.
 *
 * Both ends of a socketpair() name its maker, who may be anybody: servers make pairs as root for their helpers
 * without rights, who could lend them to porterd. So a pair stands for whoever asks, if that is who made it, and
 * for nobody else. One end of a pair can be bound later, even to an address of porterd's in another file system,
 * and looks like an accepted one then; but an end that porterd or PID 1 accepted is theirs. */
static enum opener_result check_end(int fd, const struct ucred *asker, const char *const *sockets, bool *ret_pair,
				    const char **reason)
{
	int peer, own;

	*reason = "the request came without a client's connected stream socket";
	if (get_int(fd, SO_DOMAIN) != AF_UNIX || get_int(fd, SO_TYPE) != SOCK_STREAM ||
	    get_int(fd, SO_ACCEPTCONN) != 0)
		return OPENER_BAD_REQUEST;
	peer = find_binding(fd, true);
	own = find_binding(fd, false);
	*ret_pair = peer == UNBOUND && own == UNBOUND;
	if (*ret_pair)
		return is_pair_of(fd, asker) ? OPENER_OK : OPENER_BAD_REQUEST;
	if (peer < 0 || own <= UNBOUND)
		return OPENER_BAD_REQUEST;
	if (!is_made_by(fd, asker->uid)) {
		*reason = "neither porterd nor the service manager has accepted the client's connection";
		return OPENER_BAD_REQUEST;
	}
	if (peer == BOUND || (peer == AUTOBOUND && !(sockets && is_at(fd, sockets, true)))) {
		*reason = "the client's socket is bound to an address, so it could as well be the listening end";
		return OPENER_NOT_PERMITTED;
	}
	return OPENER_OK;
}

/* Is there no descriptor left to open anything with? Where the unit is not told, that may be why. */
static bool is_short_of_fds(int fd)
{
	_cleanup_close_ int probe = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return probe < 0;
}

enum opener_result client_read(struct client *client, int fd, const struct ucred *asker, const char *const *sockets,
			       const char **reason)
{
	enum opener_result result = check_end(fd, asker, sockets, &client->pair, reason);
	struct identity *identity = &client->identity;
	int r;

	if (result != OPENER_OK)
		return result;
	if (!client->pair && !is_at(fd, sockets, false)) {
		*reason = "the client is not connected to a socket of porterd's for files (see --client-socket=)";
		return OPENER_NOT_PERMITTED;
	}

	r = identity_read(identity, fd,
			  IDENTITY_CREDENTIALS | IDENTITY_GROUPS | IDENTITY_PROCESS | IDENTITY_UNIT);
	if (r < 0 && r != -ENOMEM) {
		*reason = "the kernel says nothing of who connected";
		return OPENER_BAD_REQUEST;
	}
	if (r < 0 || error_is_shortage(identity->pidfd) || (!identity->unit && is_short_of_fds(fd))) {
		*reason = "out of memory or descriptors";
		return OPENER_BUSY;
	}
	client->alive = identity_is_alive(identity);
	return OPENER_OK;
}
