/* SPDX-License-Identifier: MIT
 *
 * Bytes, packets and datagrams, and what goes wrong with them.
 */
#include "sockio_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/un.h>

#include "kernel/sockopt.h"

/* --- bytes --- */

START_TEST(bytes_come_through)
{
	char buffer[16];
	int ends[2];

	sockio_pair(SOCK_STREAM, ends);
	ck_assert_int_eq((int)sockio_receive(ends[0], buffer, sizeof(buffer), MSG_DONTWAIT), -EAGAIN);
	ck_assert_int_eq((int)sockio_send(ends[1], "a\0c", 3, 0), 3);
	ck_assert_int_eq((int)sockio_receive(ends[0], buffer, 2, 0), 2);
	ck_assert_int_eq((int)sockio_receive(ends[0], buffer + 2, sizeof(buffer), MSG_DONTWAIT), 1);
	ck_assert_mem_eq(buffer, "a\0c", 3);

	ck_assert_int_eq((int)sockio_send(ends[1], "z", 1, MSG_DONTWAIT), 1);
	fd_close(TAKE_FD(ends[1]));
	ck_assert_int_eq((int)sockio_receive(ends[0], buffer, sizeof(buffer), 0), 1);
	ck_assert_int_eq((int)sockio_receive(ends[0], buffer, sizeof(buffer), 0), 0);
	ck_assert_int_eq((int)sockio_receive(-1, buffer, sizeof(buffer), 0), -EBADF);
	sockio_close(ends);
}
END_TEST

START_TEST(a_full_stream_takes_what_fits)
{
	static char data[1 << 20];
	ssize_t sent, all = 0;
	int ends[2];

	sockio_pair(SOCK_STREAM, ends);
	while ((sent = sockio_send(ends[0], data, sizeof(data), MSG_DONTWAIT)) > 0)
		all += sent;
	ck_assert_int_eq((int)sent, -EAGAIN);
	ck_assert_int_gt((int)all, 0);
	while (all > 0) {
		ssize_t received = sockio_receive(ends[1], data, sizeof(data), MSG_DONTWAIT);

		ck_assert_int_gt((int)received, 0);
		all -= received;
	}
	ck_assert_int_eq((int)all, 0);
	sockio_close(ends);
}
END_TEST

/* Receivers that want no fds never get any, not even for a moment in which an exec could inherit them. */
START_TEST(fds_are_dropped_by_the_kernel)
{
	static const size_t counts[] = { 1, 2, 253 };
	size_t before = unit_count_fds();
	char buffer[16];
	bool end;

	for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
		struct sockio_sender sender;
		int ends[2];

		sockio_pair(SOCK_STREAM, ends);
		sockio_pass(ends[1], "abc", 3, counts[i]);
		ck_assert_int_eq((int)sockio_receive(ends[0], buffer, sizeof(buffer), 0), 3);
		ck_assert_uint_eq(unit_count_fds(), before + 2);
		sockio_close(ends);

		sockio_pair(SOCK_SEQPACKET, ends);
		ck_assert_int_eq(sockopt_pass_credentials(ends[0]), 0);
		sockio_pass(ends[1], "abc", 3, counts[i]);
		sockio_pass(ends[1], "", 0, counts[i]);
		ck_assert_int_eq((int)sockio_receive_packet(ends[0], buffer, sizeof(buffer), &end, 0), 3);
		ck_assert(!end);
		ck_assert_int_eq((int)sockio_receive_packet(ends[0], buffer, sizeof(buffer), &end, 0), 0);
		ck_assert(!end);
		ck_assert_uint_eq(unit_count_fds(), before + 2);
		sockio_close(ends);

		sockio_pair(SOCK_DGRAM, ends);
		sockio_pass(ends[1], "abc", 3, counts[i]);
		ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), -EBADMSG);
		ck_assert_uint_eq(unit_count_fds(), before + 2);
		sockio_close(ends);
	}
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

/* --- packets --- */

/* What a peer does: 'e' an empty packet, 'p' one of a byte, 'f' an empty one with an fd, 'c' close, 's' shutdown. */
static const char *const packet_scripts[] = {
	"e", "p", "f", "c", "s", "ec", "es", "pec", "epc", "eec", "pes", "eees", "fc", "pfs", "fepc", "ppc",
};

/* Where the receiving socket has SO_PASSCRED from. */
enum when { BEFORE, AFTER, LISTENER, ACCEPTED, N_WHENS };

static void play(int *fd, const char *script)
{
	for (const char *step = script; *step; step++) {
		if (*step == 'c') {
			fd_close(TAKE_FD(*fd));
			return;
		}
		if (*step == 's')
			ck_assert_int_eq(shutdown(*fd, SHUT_WR), 0);
		else if (*step == 'f')
			sockio_pass(*fd, "", 0, 1);
		else
			ck_assert_int_eq((int)sockio_send(*fd, "p", *step == 'p', 0), *step == 'p');
	}
}

static void expect_packets(int fd, const char *script)
{
	char buffer[4];
	bool end = true;

	for (const char *step = script; *step && !strchr("cs", *step); step++) {
		ck_assert_int_eq((int)sockio_receive_packet(fd, buffer, sizeof(buffer), &end, MSG_DONTWAIT),
				 *step == 'p');
		ck_assert_msg(!end, "a packet was taken for the end in '%s'", script);
	}

	/* The end stays the end, however often one asks. */
	for (int i = 0; i < 2; i++) {
		ssize_t received = sockio_receive_packet(fd, buffer, sizeof(buffer), &end, MSG_DONTWAIT);

		if (strpbrk(script, "cs")) {
			ck_assert_int_eq((int)received, 0);
			ck_assert_msg(end, "the end was taken for a packet in '%s'", script);
		} else {
			ck_assert_int_eq((int)received, -EAGAIN);
			ck_assert(!end);
		}
	}
}

static void connect_late(enum when when, const char *script, int ends[2])
{
	struct sockaddr_un address;
	socklen_t size = unit_make_address(&address, "packets");
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	if (when == LISTENER)
		ck_assert_int_eq(sockopt_pass_credentials(listener), 0);
	ends[1] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(ends[1], (struct sockaddr *)&address, size), 0);
	play(&ends[1], script);
	ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(ends[0], 0);
	(void)close(listener);
}

START_TEST(an_empty_packet_is_not_the_end)
{
	size_t before = unit_count_fds();

	for (enum when when = BEFORE; when < N_WHENS; when++) {
		const char *script = packet_scripts[_i];
		int ends[2];

		if (when == LISTENER || when == ACCEPTED) {
			connect_late(when, script, ends);
		} else {
			sockio_pair(SOCK_SEQPACKET, ends);
			if (when == BEFORE)
				ck_assert_int_eq(sockopt_pass_credentials(ends[0]), 0);
			play(&ends[1], script);
		}
		if (when == AFTER || when == ACCEPTED)
			ck_assert_int_eq(sockopt_pass_credentials(ends[0]), 0);
		expect_packets(ends[0], script);
		sockio_close(ends);
		ck_assert_uint_eq(unit_count_fds(), before);
	}
}
END_TEST

START_TEST(packets_tell_their_real_size)
{
	char data[100], buffer[10];
	struct sockio_sender sender;
	int ends[2];
	bool end;

	memset(data, 'd', sizeof(data));
	sockio_pair(SOCK_SEQPACKET, ends);
	ck_assert_int_eq(sockopt_pass_credentials(ends[0]), 0);
	ck_assert_int_eq((int)sockio_send(ends[1], data, sizeof(data), 0), 100);
	ck_assert_int_eq((int)sockio_send(ends[1], "next", 4, 0), 4);
	ck_assert_int_eq((int)sockio_receive_packet(ends[0], buffer, sizeof(buffer), &end, 0), 100);
	ck_assert(!end);
	ck_assert_int_eq((int)sockio_receive_packet(ends[0], buffer, sizeof(buffer), &end, 0), 4);
	ck_assert_mem_eq(buffer, "next", 4);
	ck_assert_int_eq((int)sockio_send(ends[1], data, 1, 0), 1);
	ck_assert_int_eq((int)sockio_receive_packet(ends[0], buffer, 0, &end, 0), 1);
	ck_assert(!end);
	sockio_close(ends);

	sockio_pair(SOCK_DGRAM, ends);
	ck_assert_int_eq((int)sockio_send(ends[1], data, sizeof(data), 0), 100);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 100);
	sockio_sender_clear(&sender);
	sockio_close(ends);
}
END_TEST

/* --- datagrams --- */

static int bound_datagram(struct sockaddr_un *address, socklen_t *size, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*size = unit_make_address(address, name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)address, *size), 0);
	return fd;
}

static int receive_datagram(int fd, void *buffer, size_t size, struct sockio_sender *sender)
{
	return (int)sockio_receive_attested(fd, buffer, size, sender, MSG_DONTWAIT);
}

static int send_pong(int fd, const struct sockio_sender *to)
{
	struct iovec part = { (void *)(uintptr_t)"pong", 4 };

	return sockio_send_to(fd, &part, 1, (const struct sockaddr *)&to->address, to->address_size, -EBADF);
}

START_TEST(datagrams_go_back_to_their_sender)
{
	struct sockaddr_un service_address, client_address;
	socklen_t service_size, client_size;
	int service = bound_datagram(&service_address, &service_size, "service");
	int client = bound_datagram(&client_address, &client_size, "client");
	int unbound = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockio_sender sender, nobody;
	struct iovec part = { (void *)(uintptr_t)"ping", 4 };
	char buffer[16];

	memset(&sender, 0xff, sizeof(sender));
	ck_assert_int_eq(receive_datagram(service, buffer, sizeof(buffer), &sender), -EAGAIN);
	ck_assert_int_eq(sockio_send_to(client, &part, 1, (struct sockaddr *)&service_address, service_size, -1), 0);
	ck_assert_int_eq(receive_datagram(service, buffer, sizeof(buffer), &sender), 4);
	ck_assert_uint_eq(sender.address_size, client_size);
	ck_assert_mem_eq(&sender.address, &client_address, client_size);
	ck_assert(!sender.attested);
	ck_assert_int_lt(sender.pidfd, 0);
	ck_assert_str_eq(sender.label, "");

	ck_assert_int_eq(send_pong(service, &sender), 0);
	ck_assert_int_eq(receive_datagram(client, buffer, sizeof(buffer), &nobody), 4);
	ck_assert_mem_eq(buffer, "pong", 4);

	/* Empty ones are datagrams, too. */
	ck_assert_int_eq(sockio_send_to(client, NULL, 0, (struct sockaddr *)&service_address, service_size, -1), 0);
	ck_assert_int_eq(receive_datagram(service, buffer, sizeof(buffer), &sender), 0);
	ck_assert_uint_eq(sender.address_size, client_size);

	memset(&nobody, 0xff, sizeof(nobody));
	ck_assert_int_eq(sockio_send_to(unbound, &part, 1, (struct sockaddr *)&service_address, service_size, -1), 0);
	ck_assert_int_eq(receive_datagram(service, buffer, sizeof(buffer), &nobody), 4);
	ck_assert_uint_eq(nobody.address_size, 0);
	ck_assert_int_lt(send_pong(service, &nobody), 0);

	/* A sender that is gone, and one that does not read. */
	while (send_pong(service, &sender) == 0)
		;
	ck_assert_int_eq(send_pong(service, &sender), -EAGAIN);
	(void)close(client);
	ck_assert_int_eq(send_pong(service, &sender), -ECONNREFUSED);
	(void)close(service);
	(void)close(unbound);
}
END_TEST

/* --- vanished peers and signals --- */

/* SIGPIPE has its default action here, so it would end the test. */
START_TEST(a_vanished_peer_is_an_error)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	struct iovec part = { (void *)(uintptr_t)"x", 1 };

	(void)signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		int ends[2];

		sockio_pair(types[i], ends);
		fd_close(TAKE_FD(ends[1]));
		ck_assert_int_eq((int)sockio_send(ends[0], "x", 1, 0), -EPIPE);
		ck_assert_int_eq((int)sockio_send(ends[0], "x", 1, MSG_DONTWAIT), -EPIPE);
		ck_assert_int_eq((int)sockio_send_fds(ends[0], &part, 1, NULL, 0, 0), -EPIPE);
		ck_assert_int_eq((int)sockio_send_fds(ends[0], &part, 1, &ends[0], 1, MSG_DONTWAIT), -EPIPE);
		sockio_close(ends);
	}
}
END_TEST

static void note_signal(int number)
{
	(void)number;
}

static void ring(bool on)
{
	struct itimerval often = { .it_interval.tv_usec = on ? 20000 : 0, .it_value.tv_usec = on ? 20000 : 0 };
	struct sigaction action = { .sa_handler = note_signal };

	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

START_TEST(blocking_calls_are_interrupted)
{
	static char data[1 << 20];
	struct sockio_sender sender;
	struct fdset fds;
	struct iovec part = { data, sizeof(data) };
	int stream[2], packet[2];
	bool end;

	sockio_pair(SOCK_STREAM, stream);
	sockio_pair(SOCK_SEQPACKET, packet);
	ck_assert_int_eq(sockopt_pass_credentials(packet[0]), 0);
	ring(true);
	ck_assert_int_eq((int)sockio_receive(stream[0], data, sizeof(data), 0), -EINTR);
	ck_assert_int_eq((int)sockio_receive_packet(packet[0], data, sizeof(data), &end, 0), -EINTR);
	ck_assert(!end);
	ck_assert_int_eq((int)sockio_receive_attested(packet[0], data, sizeof(data), &sender, 0), -EINTR);
	ck_assert_int_eq((int)sockio_receive_fds(stream[0], data, sizeof(data), &fds, 0), -EINTR);
	ck_assert_uint_eq(fds.count, 0);

	/* What was sent before the signal is told; only where it was nothing is it an error. */
	ck_assert_int_gt((int)sockio_send(stream[0], data, sizeof(data), 0), 0);
	while (sockio_send(stream[0], data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	ck_assert_int_eq((int)sockio_send(stream[0], data, sizeof(data), 0), -EINTR);
	ck_assert_int_eq((int)sockio_send_fds(stream[0], &part, 1, NULL, 0, 0), -EINTR);
	ring(false);
	sockio_close(stream);
	sockio_close(packet);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(bytes_come_through),
		UNIT_TEST(a_full_stream_takes_what_fits),
		UNIT_TEST(fds_are_dropped_by_the_kernel),
		UNIT_LOOP(an_empty_packet_is_not_the_end, ELEMENTSOF(packet_scripts)),
		UNIT_TEST(packets_tell_their_real_size),
		UNIT_TEST(datagrams_go_back_to_their_sender),
		UNIT_TEST(a_vanished_peer_is_an_error),
		UNIT_TEST(blocking_calls_are_interrupted),
		{ 0 },
	};

	return unit_run("sockio", tests, NULL);
}
