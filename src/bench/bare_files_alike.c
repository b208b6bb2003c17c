/* SPDX-License-Identifier: MIT
 *
 * The system calls that porterd and its opener make for a file of root's that a known client asks for, in the same
 * order, and nothing else: no identity is compared, no policy is asked, no message is parsed, and the record is always
 * the same. What porterd needs beyond this is its own cost. What this needs beyond bare_files.c is what the kernel
 * takes to tell who asks, and to examine and record.
 *
 * The calls are those on Linux 6.8 and later, as root, for a client outside of units. An older kernel, or another
 * user's file, takes more calls; those count as porterd's here.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/macro.h"
#include "base/opener_wire.h"
#include "bench/bare_pair.h"
#include "bench/side.h"
#include "kernel/host.h"
#include "kernel/pin.h"
#include "kernel/sockopt.h"

/* The sizes of what porterd and the opener say to each other, and of the record of such a file. */
#define QUESTION_SIZE (sizeof(struct opener_request) + OPENER_LABEL_SIZE)
#define ANSWER_SIZE sizeof(struct opener_reply)
#define RECORD_SIZE 445
#define EVENTS 64

/* An epoll set of these two, and an empty one in it, as sd-event's is in the loop. */
static int watch(int a, int b)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), fds[] = { a, b, epoll_create1(EPOLL_CLOEXEC) };

	for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
		struct epoll_event event = { .events = EPOLLIN };

		if (fds[i] >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) < 0)
			return -errno;
	}
	return epoll;
}

static bool wait_one(int epoll)
{
	struct epoll_event events[EVENTS];

	return epoll_wait(epoll, events, EVENTS, -1) == 1;
}

struct back {
	int own_fds; /* /proc/self/fd; pin_reopen() would open its own between what is closed together */
	int log;
	int somebody; /* pidfd; the opener asks the client's pidfd whether it is alive, which costs the same */
	char directory[160];
};

static int open_back(struct back *back, const struct world *world)
{
	char log[160];

	world_path(world, "alike", log, sizeof(log));
	world_path(world, "files", back->directory, sizeof(back->directory));
	back->own_fds = open(PIN_PROC_FDS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	back->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	back->somebody = (int)syscall(SYS_pidfd_open, getppid(), 0);
	(void)unlink(log);
	return back->own_fds < 0 || back->log < 0 || back->somebody < 0 ? -errno : 0;
}

/* Answers one question. Not 0: it was the last. */
static int answer(const struct back *back, int front)
{
	static const char record[RECORD_SIZE] = "record";
	char question[QUESTION_SIZE], name[16];
	struct pollfd alive = { .fd = back->somebody, .events = POLLIN };
	uint64_t cookie;
	int client = bare_receive_fd(front, question, sizeof(question)), directory, pinned, fd;
	struct statx about_directory;
	struct stat about_file;

	if (client < 0)
		return client;
	(void)sockopt_cookie(client, &cookie);
	(void)poll(&alive, 1, 0);
	directory = host_pin_at(AT_FDCWD, back->directory, O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	(void)statx(directory, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID_UNIQUE, &about_directory);
	pinned = host_pin_at(directory, "0", 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (pinned < 0 || fstat(pinned, &about_file) < 0 || !S_ISREG(about_file.st_mode))
		return -EBADF;
	(void)snprintf(name, sizeof(name), "%d", pinned);
	fd = openat(back->own_fds, name, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0 || bare_send_fd(front, question, ANSWER_SIZE, fd) < 0)
		return -errno;

	if (write(back->log, record, sizeof(record)) != sizeof(record))
		return -EIO;
	/* One comes after the other. */
	(void)close_range((unsigned)pinned, (unsigned)fd, 0);
	(void)close(directory);
	(void)close(client);
	return 0;
}

static int serve_back(void *data)
{
	const struct bare_pair *pair = data;
	struct back back;
	int epoll = watch(pair->ends[1], -EBADF), r = open_back(&back, pair->side->world);

	(void)close(pair->ends[0]);
	while (r >= 0 && wait_one(epoll))
		r = answer(&back, pair->ends[1]);
	return r;
}

static int serve_front(void *data)
{
	const struct bare_pair *pair = data;
	char request[EXCHANGE_MAX], question[QUESTION_SIZE] = "question";
	int client, epoll;

	(void)close(pair->ends[1]);
	client = accept4(pair->client, NULL, NULL, SOCK_CLOEXEC);
	epoll = watch(pair->ends[0], client);
	while (wait_one(epoll)) {
		int fd;

		if (recv(client, request, sizeof(request), MSG_DONTWAIT) <= 0 ||
		    bare_send_fd(pair->ends[0], question, sizeof(question), client) < 0 || !wait_one(epoll))
			break;
		fd = bare_receive_fd(pair->ends[0], request, sizeof(request));
		(void)sockopt_unread(client);
		if (fd < 0 || bare_send_fd(client, pair->side->reply, pair->side->reply_size, fd) < 0)
			break;
		(void)close(fd);
	}
	return 0;
}

int side_start_bare_files_alike(struct side *side)
{
	return bare_pair_start(side, serve_front, serve_back);
}
