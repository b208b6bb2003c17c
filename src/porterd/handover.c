/* SPDX-License-Identifier: MIT
 *
 * Connections that outlive their porterd.
 */
#include "porterd/handover.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "kernel/fdset.h"
#include "kernel/memfd.h"
#include "kernel/sockopt.h"
#include "porterd/activation.h"
#include "porterd/connection.h"
#include "porterd/descriptors.h"
#include "porterd/kept.h"
#include "porterd/server.h"
#include "porterd/worker.h"

/* For how many connections there is room besides the file. Workers take it from what all have together. */
static size_t take_room(struct server *server)
{
	size_t wanted = MIN_OF(server->n_connections, (size_t)HANDOVER_MAX) + 1;

	return wanted == 1 ? 0 : server->worker ? worker_take_room(server->worker, wanted)
						: MIN_OF(wanted, server->store_room);
}

/* systemd must not look after them (FDPOLL=0): it would drop those whose clients have left, who may have said
 * something before. */
bool handover_store(const int *fds, size_t count)
{
	return sd_pid_notify_with_fds(0, false, "FDSTORE=1\nFDNAME=" HANDOVER_NAME "\nFDPOLL=0", fds,
				      (unsigned)count) > 0;
}

int handover_wait_stored(void)
{
	return sd_notify_barrier(false, HANDOVER_STORE_SECONDS * USEC_PER_SEC);
}

/* systemd listens to the main process only, so a worker's go through that one. */
static bool store(struct server *server, const int *fds, size_t count)
{
	return server->worker ? worker_pass_fds(server->worker, fds, count) >= 0 : handover_store(fds, count);
}

static int describe(struct connection *connection, struct kept *ret)
{
	const struct protocol *protocol = connection->protocol;
	int r;

	*ret = (struct kept){
		.name = protocol->name,
		.type = protocol->type,
		/* One wrong number must not cost everybody's connection. */
		.unread_descriptors = MIN_OF(connection->unread_descriptors, (uint32_t)FDSET_MAX),
	};
	if (!protocol->save)
		return -EOPNOTSUPP;
	r = sockopt_cookie(connection->source.fd, &ret->cookie);
	return r < 0 ? r : protocol->save(connection, ret);
}

/* Writes down the state of as many connections as there is room for, and says in `given` which they are. Returns the
 * sealed file, or -errno. */
static int write_all_down(struct server *server, struct connection **given, size_t max, size_t *count)
{
	_cleanup_close_ int file = memfd_new("porterd-kept");
	int r = file < 0 ? file : kept_write_header(file);

	/* Those that have ended come last: they take no place that another one needs. */
	for (int rests = 0; rests < 2; rests++)
		for (struct connection *c = server->connections; r >= 0 && c && *count < max; c = c->next) {
			struct kept kept;

			if (descriptors_is_rest(c) != rests || describe(c, &kept) < 0)
				continue;
			r = kept_write(file, &kept);
			given[(*count)++] = c;
		}
	if (r >= 0)
		r = memfd_seal(file);
	return r < 0 ? r : TAKE_FD(file);
}

void handover_give(struct server *server)
{
	size_t room = take_room(server), count = 0, done = 0;
	_cleanup_free_ struct connection **given = calloc(room + 1, sizeof(*given));
	_cleanup_close_ int file = -EBADF;

	if (!given || room < 2)
		return;
	file = write_all_down(server, given, room - 1, &count);
	if (file < 0 || count == 0 || !store(server, &file, 1))
		return;

	while (done < count) {
		int fds[FDSET_MAX];
		size_t n = MIN_OF(count - done, (size_t)FDSET_MAX);

		for (size_t i = 0; i < n; i++)
			fds[i] = given[done + i]->source.fd;
		if (!store(server, fds, n))
			break;
		/* Not the end of it: systemd has the other descriptor. */
		for (size_t i = 0; i < n; i++)
			connection_close(given[done + i]);
		done += n;
	}
	if (!server->worker && handover_wait_stored() < 0)
		record_message(server->recorder, LOG_WARNING, "systemd may not have taken %zu connections in time", done);
	else
		record_message(server->recorder, LOG_INFO, "%zu connections wait for the next porterd", done);
}

/* A file of the store, and what it says. */
struct kept_file {
	void *data;
	size_t size;
	struct kept_list list;
};

static void kept_file_close(struct kept_file *file)
{
	kept_list_clear(&file->list);
	if (file->data)
		(void)munmap(file->data, file->size);
}

/* Nobody can change it any more, or it is not one of ours. */
static int kept_file_open(struct kept_file *file, int fd)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int have = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *data;

	*file = (struct kept_file){ 0 };
	if (have < 0 || (have & seals) != seals || fstat(fd, &st) < 0 || st.st_size == 0)
		return -EBADMSG;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	file->data = data;
	file->size = (size_t)st.st_size;
	return kept_list_parse(&file->list, file->data, file->size);
}

static const struct kept *find(const struct kept_file *files, size_t count, uint64_t cookie)
{
	const struct kept *kept = NULL;

	for (size_t i = 0; i < count && !kept; i++)
		kept = kept_list_find(&files[i].list, cookie);
	return kept;
}

/* The file is only the word of the porterd before. A socket that blocks would stop everything. */
static bool fits(const struct protocol *protocol, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return sd_is_socket(fd, protocol->unix_only ? AF_UNIX : AF_UNSPEC, protocol->type, 0) > 0 && flags >= 0 &&
	       fcntl(fd, F_SETFL, flags | O_NONBLOCK) >= 0;
}

const struct protocol *handover_find_protocol(const struct kept *kept)
{
	const struct protocol *rest = &descriptors_rest_protocol;

	return strcmp(kept->name, rest->name) == 0 && kept->type == rest->type
		       ? rest
		       : activation_find_protocol(kept->name, kept->type);
}

/* The connection goes on, or is closed: nothing is known of it, or nothing that can be used. */
static bool take_connection(struct server *server, const struct kept_file *files, size_t count,
			    int fd /* consumes fd */)
{
	_cleanup_close_ int owned = fd;
	const struct protocol *protocol;
	const struct kept *kept;
	uint64_t cookie;

	if (sockopt_cookie(fd, &cookie) < 0)
		return false;
	kept = find(files, count, cookie);
	protocol = kept ? handover_find_protocol(kept) : NULL;
	return protocol && protocol->restore && fits(protocol, fd) &&
	       connection_restore(server, protocol, TAKE_FD(owned), kept) >= 0;
}

void handover_forget(void)
{
	(void)sd_notify(false, "FDSTOREREMOVE=1\nFDNAME=" HANDOVER_NAME);
}

void handover_take(struct server *server, int *fds, size_t count)
{
	_cleanup_free_ struct kept_file *files = NULL;
	size_t n_files = 0, n_sockets = 0, taken = 0;

	if (count == 0)
		return;
	files = calloc(count, sizeof(*files));
	/* Of several workers a slow one would forget what a fast one has just left there. */
	if (!server->worker)
		handover_forget();

	for (size_t i = 0; i < count; i++) {
		if (sd_is_socket(fds[i], AF_UNSPEC, 0, -1) > 0) {
			fds[n_sockets++] = fds[i];
			continue;
		}
		if (files && kept_file_open(&files[n_files], fds[i]) < 0)
			record_message(server->recorder, LOG_WARNING,
				       "What the porterd before wrote of its connections can't be read");
		n_files += files ? 1 : 0;
		fd_close(fds[i]);
	}
	/* What they have they were allowed before: in another order the same rules would allow less. */
	server->quota.generous = true;
	for (size_t i = 0; i < n_sockets; i++)
		taken += take_connection(server, files, n_files, fds[i]);
	server->quota.generous = false;

	for (size_t i = 0; i < n_files; i++)
		kept_file_close(&files[i]);
	record_message(server->recorder, taken < n_sockets ? LOG_WARNING : LOG_INFO,
		       "Took up %zu of %zu connections of the porterd before", taken, n_sockets);
	server_connections_changed(server);
}
