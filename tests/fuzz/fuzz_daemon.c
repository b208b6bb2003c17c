/* SPDX-License-Identifier: MIT
 *
 * porterd's own services without an opener. The first byte says which, and what comes along:
 *
 *	bit 0	packets for the credentials service, divided by NULs, instead of Varlink on a stream
 *	bit 1	descriptors with the first piece
 *	bit 2	with every piece
 *
 * The answers are the same whether the client sends all at once or in pieces, and reads at the end or meanwhile.
 */
#include <sys/socket.h>

#include "kernel/sockio.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_server.h"

struct answers {
	char *data;
	size_t size, n_fds;
	bool closed;
};

static void look(int fd, struct answers *answers)
{
	fuzz_server_run();
	if (!answers->closed)
		answers->closed = fuzz_server_receive(fd, &answers->data, &answers->size, &answers->n_fds);
}

/* Sends one piece, reading whenever that is what it takes. False: nobody takes it any more. */
static bool send_piece(int fd, const uint8_t *piece, size_t size, size_t n_fds, struct answers *answers)
{
	int any = fuzz_any_fd(), fds[FDSET_MAX];
	bool taken = true;

	for (size_t i = 0; i < n_fds; i++)
		fds[i] = any;
	for (size_t sent = 0; taken && sent < size;) {
		struct iovec part = { (void *)(uintptr_t)(piece + sent), size - sent };
		ssize_t n = sockio_send_fds(fd, &part, 1, fds, n_fds, MSG_DONTWAIT);

		/* The kernel passes no descriptors to sockets that do not want them. */
		if (n == -EPERM && n_fds > 0)
			n_fds = 0;
		else if (n == -EAGAIN)
			look(fd, answers);
		else
			taken = n >= 0;
		sent += n > 0 ? (size_t)n : 0;
		taken = taken && !answers->closed;
	}
	(void)close(any);
	return taken;
}

static struct answers stream(const uint8_t *data, size_t size, unsigned flags, size_t pieces)
{
	int fd = fuzz_server_connect(&varlink_stream_protocol);
	size_t n_fds = flags & 2 ? FDSET_MAX : flags & 4 ? 1 : 0, n;
	struct answers answers = { 0 };
	struct fuzz_pieces cut;
	const uint8_t *piece;

	fuzz_pieces_init(&cut, data, size, pieces);
	while ((n = fuzz_pieces_next(&cut, &piece)) > 0 && send_piece(fd, piece, n, n_fds, &answers)) {
		n_fds = flags & 4 ? n_fds : 0;
		if (pieces > 0)
			look(fd, &answers);
	}
	look(fd, &answers);
	(void)close(fd);
	fuzz_server_run();
	return answers;
}

static struct answers packets(const uint8_t *data, size_t size, unsigned flags, bool meanwhile)
{
	int fd = fuzz_server_connect(&credentials_packet_protocol);
	size_t n_fds = flags & 2 ? FDSET_MAX : flags & 4 ? 1 : 0;
	struct answers answers = { 0 };
	bool open = true;

	while (open && size > 0) {
		const uint8_t *end = memchr(data, '\0', size);
		size_t n = end ? (size_t)(end - data) : size;

		open = send_piece(fd, data, n, n_fds, &answers);
		n_fds = flags & 4 ? n_fds : 0;
		n += end ? 1 : 0;
		data += n;
		size -= n;
		if (meanwhile)
			look(fd, &answers);
	}
	look(fd, &answers);
	(void)close(fd);
	fuzz_server_run();
	return answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned flags = size > 0 ? data[0] : 0;
	struct answers one, other;

	if (size == 0)
		return 0;
	fuzz_server_open("/nonexistent/opener");

	if (flags & 1) {
		one = packets(data + 1, size - 1, flags, false);
		other = packets(data + 1, size - 1, flags, true);
	} else {
		one = stream(data + 1, size - 1, flags, 0);
		other = stream(data + 1, size - 1, flags, 64);
	}

	/* Without an opener there is nothing to hand over. */
	fuzz_expect(one.n_fds == 0 && other.n_fds == 0);
	fuzz_expect(one.closed == other.closed);
	fuzz_expect(one.size == other.size && (one.size == 0 || memcmp(one.data, other.data, one.size) == 0));
	free(one.data);
	free(other.data);
	fuzz_server_check_idle();
	fuzz_check_fds();
	return 0;
}
