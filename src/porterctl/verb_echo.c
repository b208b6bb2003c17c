/* SPDX-License-Identifier: MIT
 *
 * porterctl echo: send bytes, print what comes back. On a stream both happen at once, because a service that
 * is not read from stops reading; packets go one by one.
 */
#include <poll.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "base/write_all.h"
#include "kernel/address.h"
#include "kernel/sockio.h"
#include "porterctl/failure.h"
#include "porterctl/output.h"
#include "porterctl/stream.h"

#define ECHO_SOCKET "/run/porterd/echo"

/* How long an answer to a datagram may take. There is none if the datagram was dropped. */
#define ECHO_TIMEOUT_MS 5000

/* A packet fits into a send buffer of the default size. */
#define ECHO_CHUNK ((size_t)64 * 1024)

struct echo {
	const char *address;
	int fd;
	char buffer[ECHO_CHUNK]; /* what was read from stdin */
	const char *unsent;
	size_t n_unsent;
	bool input_ended; /* no more comes from stdin */
	size_t sent, received;
};

static int echo_lost(const struct echo *echo, int error)
{
	failure_say("%s: the connection ended after %zu of %zu bytes had come back: %s", echo->address,
		    echo->received, echo->sent + echo->n_unsent, strerror(error));
	return EXIT_UNREACHABLE;
}

static int echo_read_input(struct echo *echo)
{
	ssize_t size = stream_read(STDIN_FILENO, echo->buffer, sizeof(echo->buffer));

	if (size < 0) {
		failure_say("can't read standard input: %s", strerror((int)-size));
		return EXIT_REFUSED;
	}
	echo->input_ended = size == 0;
	echo->unsent = echo->buffer;
	echo->n_unsent = (size_t)size;
	return EXIT_DONE;
}

static int echo_print(struct echo *echo, const char *data, size_t size)
{
	int r = write_all(STDOUT_FILENO, data, size);

	if (r < 0) {
		failure_say("can't write to standard output: %s", strerror(-r));
		return EXIT_REFUSED;
	}
	echo->received += size;
	return EXIT_DONE;
}

static int echo_send(struct echo *echo)
{
	ssize_t sent = sockio_send(echo->fd, echo->unsent, echo->n_unsent, MSG_DONTWAIT);

	if (sent == -EAGAIN)
		return EXIT_DONE;
	if (sent < 0)
		return echo_lost(echo, (int)-sent);
	echo->sent += (size_t)sent;
	echo->unsent += sent;
	echo->n_unsent -= (size_t)sent;
	return EXIT_DONE;
}

/* Receives once; sets *ret_end when the service has closed its side. */
static int echo_receive(struct echo *echo, bool *ret_end)
{
	static char data[ECHO_CHUNK];
	ssize_t size = sockio_receive(echo->fd, data, sizeof(data), MSG_DONTWAIT);

	if (size == -EAGAIN)
		return EXIT_DONE;
	if (size < 0)
		return echo_lost(echo, (int)-size);
	*ret_end = size == 0;
	return echo_print(echo, data, (size_t)size);
}

static int echo_stream(struct echo *echo)
{
	bool ended = false, shut = false;
	int r = EXIT_DONE;

	while (!ended && r == EXIT_DONE) {
		struct pollfd waited[] = {
			{ .fd = echo->fd, .events = (short)(POLLIN | (echo->n_unsent > 0 ? POLLOUT : 0)) },
			{ .fd = echo->input_ended || echo->n_unsent > 0 ? -1 : STDIN_FILENO,
			  .events = POLLIN },
		};

		if (echo->input_ended && echo->n_unsent == 0 && !shut)
			shut = shutdown(echo->fd, SHUT_WR) == 0;

		if (poll(waited, ELEMENTSOF(waited), -1) < 0) {
			if (errno == EINTR)
				continue;
			failure_say("can't wait: %s", strerror(errno));
			return EXIT_REFUSED;
		}
		if (waited[0].revents & (POLLIN | POLLHUP | POLLERR))
			r = echo_receive(echo, &ended);
		if (r == EXIT_DONE && !ended && (waited[0].revents & POLLOUT))
			r = echo_send(echo);
		if (r == EXIT_DONE && waited[1].revents)
			r = echo_read_input(echo);
	}

	if (r == EXIT_DONE && (echo->received < echo->sent || echo->n_unsent > 0))
		return echo_lost(echo, ECONNRESET);
	return r;
}

static int echo_packets(struct echo *echo)
{
	for (;;) {
		struct pollfd waited = { .fd = echo->fd, .events = POLLIN };
		bool ended = false;
		int r;

		if (echo->n_unsent == 0 && !echo->input_ended) {
			r = echo_read_input(echo);
			if (r != EXIT_DONE)
				return r;
		}
		if (echo->n_unsent == 0)
			return EXIT_DONE;

		/* Whole or not at all; there is room, because nothing is on its way. */
		r = echo_send(echo);
		if (r != EXIT_DONE)
			return r;
		do
			r = poll(&waited, 1, ECHO_TIMEOUT_MS);
		while (r < 0 && errno == EINTR);
		if (r == 0)
			return echo_lost(echo, ETIMEDOUT);
		r = echo_receive(echo, &ended);
		if (r == EXIT_DONE && ended)
			r = echo_lost(echo, ECONNRESET);
		if (r != EXIT_DONE)
			return r;
	}
}

/* Connects, whatever type the socket has, and tells which. */
static int echo_connect(struct echo *echo, int *ret_type)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		echo->fd = address_connect(echo->address, types[i]);
		*ret_type = types[i];
		if (echo->fd != -EPROTOTYPE)
			break;
	}
	return echo->fd < 0 ? echo->fd : 0;
}

int verb_echo(const struct invocation *invocation)
{
	static struct echo echo;
	_cleanup_free_ char *line = NULL;
	int r, type;

	echo.address = invocation->socket ? invocation->socket : ECHO_SOCKET;
	r = echo_connect(&echo, &type);
	if (r < 0)
		return failure_connect(echo.address, invocation->socket ? NULL : "porterd-echo.socket", -r);

	/* A line, as echo(1) would make of it. */
	if (invocation->n_words > 0) {
		int size = asprintf(&line, "%s\n", invocation->words[0]);

		if (size < 0)
			output_out_of_memory();
		echo.unsent = line;
		echo.n_unsent = (size_t)size;
		echo.input_ended = true;
	}

	r = type == SOCK_STREAM ? echo_stream(&echo) : echo_packets(&echo);
	fd_close(echo.fd);
	return r;
}
