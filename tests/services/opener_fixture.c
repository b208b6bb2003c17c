/* SPDX-License-Identifier: MIT
 *
 * An opener that is the test, and questions to it.
 */
#include "tests/services/opener_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kernel/sockio.h"

/* Of 32-bit architectures: time of 64 bits, as everything here has it. */
#ifdef SYS_clock_gettime64
#define CLOCK_GETTIME SYS_clock_gettime64
#else
#define CLOCK_GETTIME SYS_clock_gettime
#endif

/* Stands in for libc's: time that passes at once. */
time_t later;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = (int)syscall(CLOCK_GETTIME, clock, ret);

	if (r == 0 && clock == CLOCK_MONOTONIC)
		ret->tv_sec += later;
	return r;
}

struct alone daemon_around;
struct opener_client *opener;
int opener_listener, connection, asker[2];

void opener_setup(void)
{
	fixture_setup();
	later = 0;
	connection = -EBADF;
	alone_open(&daemon_around);
	opener_listener = fixture_listen("opener", SOCK_SEQPACKET | SOCK_NONBLOCK);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, asker), 0);
	ck_assert_int_eq(opener_client_new(&opener, &daemon_around.daemon.loop, daemon_around.recorder, fixture_path("opener")), 0);
}

void opener_teardown(void)
{
	opener_client_free(opener);
	fd_close(asker[0]);
	fd_close(asker[1]);
	fd_close(connection);
	fd_close(opener_listener);
	alone_close(&daemon_around);
	fixture_teardown();
}

void asked_done(struct opener_call *call, const struct opener_reply *reply, const char *text, struct fdset *fds)
{
	struct asked *asked = CONTAINER_OF(call, struct asked, call);

	asked->answers++;
	asked->lost = !reply;
	if (reply) {
		asked->result = reply->result;
		asked->n_fds = fds->count;
		(void)snprintf(asked->text, sizeof(asked->text), "%s", text);
	}
	ck_assert_ptr_null(call->client);
	if (asked->next)
		ck_assert_int_eq(ask(asked->next, 1), 0);
}

int ask(struct asked *asked, size_t count)
{
	const char *labels[OPENER_FILES_MAX];

	for (size_t i = 0; i < count; i++)
		labels[i] = (i % 2 == 1) != asked->from_b ? "b" : "a";
	asked->call.done = asked_done;
	return opener_call_start(&asked->call, opener, OPENER_OPEN, labels, count, 0, asker[1]);
}

static uint64_t take_any(size_t count, bool from_b)
{
	static struct {
		struct opener_request header;
		char labels[OPENER_FILES_MAX][OPENER_LABEL_SIZE];
	} packet;
	static const char padded[2][OPENER_LABEL_SIZE] = { "a", "b" };
	struct stat sent, own;
	struct fdset fds;
	ssize_t size;

	if (connection < 0)
		connection = accept4(opener_listener, NULL, NULL, SOCK_CLOEXEC);
	if (connection < 0)
		return 0;
	size = sockio_receive_fds(connection, &packet, sizeof(packet), &fds, MSG_DONTWAIT);
	if (size == -EAGAIN)
		return 0;

	ck_assert_int_eq((int)size, (int)(sizeof(packet.header) + count * OPENER_LABEL_SIZE));
	ck_assert_uint_eq(packet.header.version, OPENER_WIRE_VERSION);
	ck_assert_uint_eq(packet.header.operation, OPENER_OPEN);
	ck_assert_uint_eq(packet.header.count, count);
	for (size_t i = 0; i < count; i++)
		ck_assert_mem_eq(packet.labels[i], padded[(i + from_b) % 2], OPENER_LABEL_SIZE);
	ck_assert_uint_eq(fds.count, 1);
	ck_assert_int_eq(fstat(fds.fds[0], &sent) + fstat(asker[1], &own), 0);
	ck_assert_uint_eq(sent.st_ino, own.st_ino);
	fdset_clear(&fds);
	return packet.header.serial;
}

uint64_t take(size_t count)
{
	return take_any(count, false);
}

uint64_t take_from_b(size_t count)
{
	return take_any(count, true);
}

void send_reply(const struct opener_reply *reply, const char *text, size_t size, size_t n_fds)
{
	struct iovec parts[] = { { (void *)(uintptr_t)reply, sizeof(*reply) }, { (void *)(uintptr_t)text, size } };
	int fds[FDSET_MAX];

	for (size_t i = 0; i < n_fds; i++)
		fds[i] = asker[0];
	ck_assert_int_gt((int)sockio_send_fds(connection, parts, ELEMENTSOF(parts), fds, n_fds, 0), 0);
}

void answer(uint64_t serial, uint32_t result, const char *text, size_t n_fds)
{
	struct opener_reply reply = {
		.version = OPENER_WIRE_VERSION,
		.operation = OPENER_OPEN,
		.serial = serial,
		.result = result,
		.count = (uint32_t)n_fds,
		.text_size = (uint32_t)strlen(text),
	};

	send_reply(&reply, text, strlen(text), n_fds);
}

size_t ask_many(struct asked asked[MANY])
{
	size_t sent = 0;

	for (size_t i = 0; i < MANY; i++) {
		asked[i] = (struct asked){ 0 };
		ck_assert_int_eq(ask(&asked[i], OPENER_FILES_MAX), 0);
		if (asked[i].call.sent)
			ck_assert_uint_eq(sent++, i);
	}
	ck_assert_uint_gt(sent, 1);
	ck_assert_uint_lt(sent + 5, MANY);
	return sent;
}
