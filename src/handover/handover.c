/* SPDX-License-Identifier: MIT
 *
 * Connections that outlive their porterd.
 */
#include "handover/handover.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "kernel/fdset.h"
#include "kernel/memfd.h"
#include "kernel/sockopt.h"
#include "serve/connection.h"
#include "serve/linger.h"

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

static int describe(struct connection *connection, struct kept *ret)
{
	const struct protocol *protocol = connection->protocol;
	int r;

	*ret = (struct kept){
		.name = protocol->name,
		.type = protocol->type,
		/* One wrong number must not cost everybody's connection. */
		.unread_descriptors = MIN_OF(connection->share.unread, (uint32_t)FDSET_MAX),
	};
	if (!protocol->save)
		return -EOPNOTSUPP;
	r = sockopt_cookie(connection->source.fd, &ret->cookie);
	return r < 0 ? r : protocol->save(connection, &ret->leftovers);
}

/* Writes down the state of as many connections as there is room for, and says in `given` which they are. Returns the
 * sealed file, or -errno. */
static int write_down(struct population *population, struct connection **given, size_t max, size_t *count)
{
	_cleanup_close_ int file = memfd_new("porterd-kept");
	int r = file < 0 ? file : kept_write_header(file);

	/* Those that have ended come last: they take no place that another one needs. */
	for (int ended = 0; ended < 2; ended++)
		LIST_FOR_EACH(&population->connections, struct connection, connection, link) {
			struct kept kept;

			if (r < 0 || *count == max)
				break;
			if (connection->lingers != ended || describe(connection, &kept) < 0)
				continue;
			r = kept_write(file, &kept);
			given[(*count)++] = connection;
		}
	if (r >= 0)
		r = memfd_seal(file);
	return r < 0 ? r : TAKE_FD(file);
}

/* Sends the connections off, and returns how many. */
static size_t send_off(struct connection *const *given, size_t count, const struct handover_way *way)
{
	size_t done = 0;

	while (done < count) {
		int fds[FDSET_MAX];
		size_t n = MIN_OF(count - done, (size_t)FDSET_MAX);

		for (size_t i = 0; i < n; i++)
			fds[i] = given[done + i]->source.fd;
		if (!way->store(way, fds, n))
			break;
		/* Not the end of it: systemd has the other descriptor. */
		for (size_t i = 0; i < n; i++)
			connection_end(given[done + i]);
		done += n;
	}
	return done;
}

void handover_give(struct population *population, const struct handover_way *way)
{
	size_t wanted = MIN_OF(population->n_connections, (size_t)HANDOVER_MAX), room, count = 0, done;
	_cleanup_free_ struct connection **given = NULL;
	_cleanup_close_ int file = -EBADF;

	/* The file takes a place, too. */
	room = wanted == 0 ? 0 : way->take_room(way, wanted + 1);
	given = calloc(room + 1, sizeof(struct connection *));
	if (!given || room < 2)
		return;
	file = write_down(population, given, room - 1, &count);
	if (file < 0 || count == 0 || !way->store(way, &file, 1))
		return;

	done = send_off(given, count, way);
	if (way->wait_stored(way) < 0)
		record_message(population->recorder, LOG_WARNING, "systemd may not have taken %zu connections in time",
			       done);
	else
		record_message(population->recorder, LOG_INFO, "%zu connections wait for the next porterd", done);
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

static const struct kept *find_kept(const struct kept_file *files, size_t count, uint64_t cookie)
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

/* What is known of the socket, and how to go on with it; NULL: nothing that can be used. */
static const struct protocol *find_protocol(const struct kept *kept,
					    const struct protocol *(*find)(const char *name, int type))
{
	const struct protocol *protocol = &linger_protocol;

	if (strcmp(kept->name, protocol->name) != 0 || kept->type != protocol->type)
		protocol = find(kept->name, kept->type);
	return protocol && protocol->restore ? protocol : NULL;
}

/* The connection goes on, or is closed. */
static bool take_connection(struct population *population, const struct kept *kept, const struct protocol *protocol,
			    int fd /* consumes fd */)
{
	_cleanup_close_ int owned = fd;

	return protocol && fits(protocol, fd) &&
	       connection_restore(population, protocol, TAKE_FD(owned), &kept->leftovers, kept->unread_descriptors) >= 0;
}

void handover_forget(void)
{
	(void)sd_notify(false, "FDSTOREREMOVE=1\nFDNAME=" HANDOVER_NAME);
}

/* Opens the files among what came back, and leaves the sockets in `fds`. Returns how many files there are. */
static size_t open_files(const struct population *population, struct kept_file *files, int *fds, size_t count,
			 size_t *n_sockets)
{
	size_t n_files = 0;

	*n_sockets = 0;
	for (size_t i = 0; i < count; i++) {
		if (sd_is_socket(fds[i], AF_UNSPEC, 0, -1) > 0) {
			fds[(*n_sockets)++] = fds[i];
			continue;
		}
		if (files && kept_file_open(&files[n_files++], fds[i]) < 0)
			record_message(population->recorder, LOG_WARNING,
				       "What the porterd before wrote of its connections can't be read");
		fd_close(fds[i]);
	}
	return files ? n_files : 0;
}

void handover_take(struct population *population, const struct protocol *(*find)(const char *name, int type), int *fds,
		   size_t count)
{
	_cleanup_free_ struct kept_file *files = NULL;
	size_t n_files, n_sockets, taken = 0;

	if (count == 0)
		return;
	files = calloc(count, sizeof(*files));
	n_files = open_files(population, files, fds, count, &n_sockets);

	/* What they have they were allowed before: in another order the same rules would allow less. */
	population->quota.generous = true;
	for (size_t i = 0; i < n_sockets; i++) {
		uint64_t cookie;
		const struct kept *kept = sockopt_cookie(fds[i], &cookie) < 0 ? NULL : find_kept(files, n_files, cookie);

		taken += take_connection(population, kept, kept ? find_protocol(kept, find) : NULL, fds[i]);
	}
	population->quota.generous = false;

	for (size_t i = 0; i < n_files; i++)
		kept_file_close(&files[i]);
	record_message(population->recorder, taken < n_sockets ? LOG_WARNING : LOG_INFO,
		       "Took up %zu of %zu connections of the porterd before", taken, n_sockets);
	population_changed(population);
}
