/* SPDX-License-Identifier: MIT
 *
 * The transports. Each is used in its plainest way.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/macro.h"
#include "base/write_all.h"
#include "bench/transport.h"

static void close_fds(struct transport_pair *pair)
{
	for (size_t i = 0; i < 2; i++) {
		fd_close(pair->fds[i]);
		fd_close(pair->back[i]);
	}
}

/* Streams: sockets, and pipes in pairs. */

static int read_all(int fd, void *data, size_t size)
{
	for (char *at = data; size > 0;) {
		ssize_t got = read(fd, at, size);

		if (got <= 0)
			return got < 0 ? -errno : -EPIPE;
		at += got;
		size -= (size_t)got;
	}
	return 0;
}

static int socket_send(struct transport_pair *pair, bool child, const void *data, size_t size)
{
	return write_all(pair->fds[child], data, size);
}

static int socket_receive(struct transport_pair *pair, bool child, void *data, size_t size)
{
	return read_all(pair->fds[child], data, size);
}

static int open_stream(struct transport_pair *pair, const char *directory)
{
	(void)directory;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair->fds) < 0 ? -errno : 0;
}

static int open_seqpacket(struct transport_pair *pair, const char *directory)
{
	(void)directory;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair->fds) < 0 ? -errno : 0;
}

static int open_datagram(struct transport_pair *pair, const char *directory)
{
	(void)directory;
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair->fds) < 0 ? -errno : 0;
}

static int open_tcp(struct transport_pair *pair, const char *directory)
{
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int yes = 1;

	(void)directory;
	pair->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || pair->fds[0] < 0 || bind(listener, (const struct sockaddr *)&address, size) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
	    connect(pair->fds[0], (const struct sockaddr *)&address, size) < 0)
		return -errno;
	pair->fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (pair->fds[1] < 0)
		return -errno;
	for (size_t i = 0; i < 2; i++)
		(void)setsockopt(pair->fds[i], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return 0;
}

/* A pipe each way: fds to the child, back to the parent; [0] is read, [1] written. */

static int pipes_send(struct transport_pair *pair, bool child, const void *data, size_t size)
{
	return write_all(child ? pair->back[1] : pair->fds[1], data, size);
}

static int pipes_receive(struct transport_pair *pair, bool child, void *data, size_t size)
{
	return read_all(child ? pair->fds[0] : pair->back[0], data, size);
}

static int open_pipe(struct transport_pair *pair, const char *directory)
{
	(void)directory;
	return pipe2(pair->fds, O_CLOEXEC) < 0 || pipe2(pair->back, O_CLOEXEC) < 0 ? -errno : 0;
}

static int open_fifo_ends(const char *directory, const char *name, int ends[2])
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (mkfifo(path, 0600) < 0)
		return -errno;
	/* Without O_NONBLOCK the first end would wait for the second. */
	ends[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ends[1] = open(path, O_WRONLY | O_CLOEXEC);
	(void)unlink(path);
	if (ends[0] < 0 || ends[1] < 0 || fcntl(ends[0], F_SETFL, 0) < 0)
		return -errno;
	return 0;
}

static int open_fifo(struct transport_pair *pair, const char *directory)
{
	int r = open_fifo_ends(directory, "fifo-there", pair->fds);

	return r < 0 ? r : open_fifo_ends(directory, "fifo-back", pair->back);
}

/* POSIX message queues: messages are cut to what the system allows, mostly 8 KiB. */

static int open_queue(const char *way)
{
	char name[64];
	mqd_t queue;

	(void)snprintf(name, sizeof(name), "/porterd-bench-%d-%s", (int)getpid(), way);
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, NULL);
	if (queue == (mqd_t)-1)
		return -errno;
	(void)mq_unlink(name);
	return (int)queue;
}

static int open_queues(struct transport_pair *pair, const char *directory)
{
	(void)directory;
	pair->fds[0] = open_queue("there");
	pair->back[0] = pair->fds[0] < 0 ? pair->fds[0] : open_queue("back");
	return pair->back[0] < 0 ? pair->back[0] : 0;
}

static size_t queue_piece(int queue)
{
	struct mq_attr attributes;

	return mq_getattr((mqd_t)queue, &attributes) < 0 ? 1 : (size_t)attributes.mq_msgsize;
}

static int queue_send(struct transport_pair *pair, bool child, const void *data, size_t size)
{
	int queue = child ? pair->back[0] : pair->fds[0];
	size_t piece = size <= 64 ? size : queue_piece(queue);

	for (const char *at = data; size > 0;) {
		size_t part = MIN_OF(piece, size);

		if (mq_send((mqd_t)queue, at, part, 0) < 0)
			return -errno;
		at += part;
		size -= part;
	}
	return 0;
}

static int queue_receive(struct transport_pair *pair, bool child, void *data, size_t size)
{
	char message[64 * 1024];
	int queue = child ? pair->fds[0] : pair->back[0];

	for (char *at = data; size > 0;) {
		ssize_t got = mq_receive((mqd_t)queue, message, sizeof(message), NULL);

		if (got < 0 || (size_t)got > size)
			return got < 0 ? -errno : -EBADMSG;
		memcpy(at, message, (size_t)got);
		at += got;
		size -= (size_t)got;
	}
	return 0;
}

/* Shared memory: a ring each way. A reader that finds nothing, or a writer that finds no room, sleeps on a futex until
 * the other side's counter moves. Nobody calls the kernel to wake a side that is awake. */

#define RING ((size_t)256 * 1024)

struct ring {
	_Alignas(64) atomic_uint written;
	atomic_uint reader_sleeps;
	_Alignas(64) atomic_uint read;
	atomic_uint writer_sleeps;
	_Alignas(64) char data[RING];
};

static void futex_wait(atomic_uint *word, unsigned value)
{
	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Waits until the counter is no longer `seen`. */
static void ring_sleep(atomic_uint *counter, atomic_uint *sleeps, unsigned seen)
{
	atomic_store(sleeps, 1);
	while (atomic_load(counter) == seen)
		futex_wait(counter, seen);
	atomic_store(sleeps, 0);
}

static void ring_advance(atomic_uint *counter, unsigned by, atomic_uint *sleeps)
{
	(void)atomic_fetch_add(counter, by);
	if (atomic_load(sleeps))
		futex_wake(counter);
}

static struct ring *ring_of(struct transport_pair *pair, bool to_child)
{
	return (struct ring *)pair->shared + to_child;
}

static int ring_send(struct transport_pair *pair, bool child, const void *data, size_t size)
{
	struct ring *ring = ring_of(pair, !child);

	for (const char *at = data; size > 0;) {
		unsigned written = atomic_load(&ring->written), seen = atomic_load(&ring->read);
		size_t place = written % RING, room = RING - (written - seen), part = MIN_OF(size, room);

		part = MIN_OF(part, RING - place);
		if (part == 0) {
			ring_sleep(&ring->read, &ring->writer_sleeps, seen);
			continue;
		}
		memcpy(ring->data + place, at, part);
		ring_advance(&ring->written, (unsigned)part, &ring->reader_sleeps);
		at += part;
		size -= part;
	}
	return 0;
}

static int ring_receive(struct transport_pair *pair, bool child, void *data, size_t size)
{
	struct ring *ring = ring_of(pair, child);

	for (char *at = data; size > 0;) {
		unsigned got = atomic_load(&ring->read), seen = atomic_load(&ring->written);
		size_t place = got % RING, part = MIN_OF(size, (size_t)(seen - got));

		part = MIN_OF(part, RING - place);
		if (part == 0) {
			ring_sleep(&ring->written, &ring->reader_sleeps, seen);
			continue;
		}
		memcpy(at, ring->data + place, part);
		ring_advance(&ring->read, (unsigned)part, &ring->writer_sleeps);
		at += part;
		size -= part;
	}
	return 0;
}

static int open_rings(struct transport_pair *pair, const char *directory)
{
	(void)directory;
	_Static_assert((RING & (RING - 1)) == 0, "the counters run over at a multiple of it");
	pair->shared = mmap(NULL, 2 * sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pair->shared == MAP_FAILED) {
		pair->shared = NULL;
		return -errno;
	}
	return 0;
}

static void close_rings(struct transport_pair *pair)
{
	if (pair->shared)
		(void)munmap(pair->shared, 2 * sizeof(struct ring));
}

const struct transport transports[] = {
	{ "tcp", "TCP, loopback", open_tcp, socket_send, socket_receive, close_fds },
	{ "unix-stream", "Unix stream", open_stream, socket_send, socket_receive, close_fds },
	{ "unix-seqpacket", "Unix seqpacket", open_seqpacket, socket_send, socket_receive, close_fds },
	{ "unix-datagram", "Unix datagram", open_datagram, socket_send, socket_receive, close_fds },
	{ "pipe", "pipe", open_pipe, pipes_send, pipes_receive, close_fds },
	{ "fifo", "FIFO", open_fifo, pipes_send, pipes_receive, close_fds },
	{ "mqueue", "POSIX message queue", open_queues, queue_send, queue_receive, close_fds },
	{ "shared-memory", "shared memory, futex", open_rings, ring_send, ring_receive, close_rings },
};

const size_t n_transports = ELEMENTSOF(transports);
