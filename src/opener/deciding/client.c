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
#include "kernel/pin.h"
#include "kernel/sockopt.h"

static const char out_of_resources[] = "out of memory or descriptors";

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

/* Is this end of the connection, or the peer's, bound to an address? 1, 0 or -errno. */
static int is_bound(int fd, bool peer)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);
	int r;

	if (peer)
		r = getpeername(fd, (struct sockaddr *)&address, &size);
	else
		r = getsockname(fd, (struct sockaddr *)&address, &size);
	return r < 0 ? -errno : size > offsetof(struct sockaddr_un, sun_path);
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

/* SO_PEERCRED names the client only at the accepted end. At the connecting end it names whoever called
 * listen(), and a listening socket names its own listener: both are PID 1, uid 0, for every socket that systemd
 * holds, and porterd can have such an fd of itself by connecting anywhere. The ends are told apart by their
 * addresses. Only a bound socket can listen, and its address is that of every end that it accepts; so the
 * accepted end is bound, and where the other one, seen from there, is not, that one never listened.
 *
 * A client may be bound as well: by its program, or by the kernel, if it has set SO_PASSCRED or SO_PASSPIDFD before it
 * connects (unix_stream_connect() calls unix_autobind()). Its name says nothing then. Anybody can bind five digits as
 * the kernel does, and listen there; and a socket of porterd's that is connected to one, and bound by the words of
 * porterd's address, shows the two names of a client's connection. sock_diag(7) would tell the ends apart, but only in
 * the network namespace that it is asked in. What does tell is the file that this end is bound to, see
 * is_bound_there().
 *
 * Both ends of a socketpair() name its maker, who may be anybody: servers make pairs as root for their helpers
 * without rights, who could lend them to porterd. So a pair stands for whoever asks, if that is who made it, and
 * for nobody else. One end of a pair can be bound later, and looks like an accepted one then; but an end that porterd
 * or PID 1 accepted is theirs. */
static enum opener_result check_end(int fd, const struct ucred *asker, bool *ret_pair, bool *ret_peer_bound,
				    const char **reason)
{
	int peer, own;

	*reason = "the request came without a client's connected stream socket";
	if (get_int(fd, SO_DOMAIN) != AF_UNIX || get_int(fd, SO_TYPE) != SOCK_STREAM ||
	    get_int(fd, SO_ACCEPTCONN) != 0)
		return OPENER_BAD_REQUEST;
	peer = is_bound(fd, true);
	own = is_bound(fd, false);
	*ret_pair = peer == 0 && own == 0;
	if (*ret_pair)
		return is_pair_of(fd, asker) ? OPENER_OK : OPENER_BAD_REQUEST;
	if (peer < 0 || own != 1)
		return OPENER_BAD_REQUEST;
	if (!is_made_by(fd, asker->uid)) {
		*reason = "neither porterd nor the service manager has accepted the client's connection";
		return OPENER_BAD_REQUEST;
	}
	*ret_peer_bound = peer == 1;
	return OPENER_OK;
}

/* Which of these is this end's address? NULL: none. Someone may have connected to another service of porterd's, or
 * to a socket that porterd made itself, without a thought of files: such a connection stands for nobody's question. */
static const char *find_address(int fd, const char *const *sockets)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof(address);
	char name[sizeof(address.sun_path) + 1] = "";
	size_t length;

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
	    size <= offsetof(struct sockaddr_un, sun_path))
		return NULL;
	length = MIN_OF((size_t)size - offsetof(struct sockaddr_un, sun_path), sizeof(address.sun_path));
	memcpy(name, address.sun_path, length);
	if (name[0] == '\0') {
		/* An abstract name may hold NULs, which no name in the list does. */
		if (memchr(name + 1, '\0', length - 1))
			return NULL;
		name[0] = '@';
	}

	for (; *sockets; sockets++)
		if (strcmp(*sockets, name) == 0)
			return *sockets;
	return NULL;
}

static bool is_same_device(const struct statx *one, const struct statx *other)
{
	return one->stx_dev_major == other->stx_dev_major && one->stx_dev_minor == other->stx_dev_minor;
}

/* Is this end bound to the file at that path, and not only by the same words? The address is as it was given to
 * bind(). porterd's sandbox keeps it from another file system, but not other users from one: one of them binds in a
 * namespace of their own what porterd has made, and it stays porterd's. Connected to what root listens on, it would
 * stand for root, and if it listens, for whoever of root's programs can be made to connect to it.
 *
 * The kernel tells the file as well: unix_stream_connect() hands the listening socket's on to the end that is to be
 * accepted. bind() makes the file, so no two sockets are bound to one. The one of porterd's socket listens, and all
 * others that have its file were accepted there: SO_PEERCRED names who called connect(), whatever the peer's name is.
 * Whose socket is at that path is up to those who can write its directory.
 *
 * Connections outlive their socket unit. A file that is not there any more was porterd's if root has made it, on the
 * same file system.
 *
 * 1, 0, or -errno if the kernel does not tell: see sockopt_bound_file(). */
static int is_bound_there(int fd, const char *path)
{
	_cleanup_close_ int file = sockopt_bound_file(fd), directory = -EBADF;
	/* The file system may be anybody's, and must not be waited for. */
	const int flags = AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW;
	struct statx bound, parent, named;
	const char *name;

	if (file < 0)
		return file;
	directory = pin_open_parent(path, NULL, &name);
	if (directory < 0)
		return directory;
	if (statx(directory, "", AT_EMPTY_PATH, STATX_INO, &parent) < 0)
		return -errno;
	if (statx(file, "", AT_EMPTY_PATH | flags, STATX_INO | STATX_UID, &bound) < 0)
		return error_is_shortage(-errno) ? -errno : 0;
	if (statx(directory, name, flags, STATX_INO, &named) == 0 && is_same_device(&bound, &named) &&
	    bound.stx_ino == named.stx_ino)
		return 1;
	return bound.stx_uid == 0 && is_same_device(&bound, &parent);
}

/* Did the client connect to one of these? */
static enum opener_result check_address(int fd, const char *const *sockets, bool peer_bound, const char **reason)
{
	const char *address = sockets ? find_address(fd, sockets) : NULL;
	int there = -ENOENT;

	if (sockets && !address) {
		*reason = "the client is not connected to a socket of porterd's for files (see --client-socket=)";
		return OPENER_NOT_PERMITTED;
	}
	if (address && address[0] == '/')
		there = is_bound_there(fd, address);
	if (error_is_shortage(there)) {
		*reason = out_of_resources;
		return OPENER_BUSY;
	}
	if (there == 0) {
		*reason = "the client is connected to another socket that was bound by the name of porterd's";
		return OPENER_NOT_PERMITTED;
	}
	if (there < 0 && peer_bound) {
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
	struct identity *identity = &client->identity;
	enum opener_result result;
	bool peer_bound = false;
	int r;

	result = check_end(fd, asker, &client->pair, &peer_bound, reason);
	if (result == OPENER_OK && !client->pair)
		result = check_address(fd, sockets, peer_bound, reason);
	if (result != OPENER_OK)
		return result;

	r = identity_read(identity, fd,
			  IDENTITY_CREDENTIALS | IDENTITY_GROUPS | IDENTITY_PROCESS | IDENTITY_UNIT);
	if (r < 0 && r != -ENOMEM) {
		*reason = "the kernel says nothing of who connected";
		return OPENER_BAD_REQUEST;
	}
	if (r < 0 || error_is_shortage(identity->pidfd) || (!identity->unit && is_short_of_fds(fd))) {
		*reason = out_of_resources;
		return OPENER_BUSY;
	}
	client->alive = identity_is_alive(identity);
	return OPENER_OK;
}
