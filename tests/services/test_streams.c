/* SPDX-License-Identifier: MIT
 *
 * The daemon's connections, over socketpairs with short reads and writes.
 */
#include "tests/porterd/alone.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "serve/listener.h"
#include "tests/base/unit.h"

/* Reads what is there, at most `size`; returns how much. */
static size_t read_some(int fd, void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = recv(fd, (char *)buffer + done, size - done, MSG_DONTWAIT);

		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

static bool is_at_end(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Echoes a pattern through buffers far smaller than it, reading and writing in pieces of these sizes. */
static void check_echo(size_t write_piece, size_t read_piece, int send_buffer)
{
	static unsigned char sent[300000], got[sizeof(sent)];
	size_t n_sent = 0, n_got = 0;
	struct alone alone;
	int fd;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (unsigned char)(i * 31 + i / 251);
	alone_open(&alone);
	fd = alone_connect(&alone, &echo_stream_protocol, send_buffer);

	while (n_got < sizeof(sent)) {
		size_t before = n_got;

		if (n_sent < sizeof(sent)) {
			ssize_t n = send(fd, sent + n_sent, MIN_OF(write_piece, sizeof(sent) - n_sent), MSG_DONTWAIT);

			if (n > 0)
				n_sent += (size_t)n;
			if (n_sent == sizeof(sent))
				ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
		}
		alone_settle(&alone);
		n_got += read_some(fd, got + n_got, MIN_OF(read_piece, sizeof(got) - n_got));
		ck_assert(n_got > before || n_sent < sizeof(sent));
	}
	ck_assert_mem_eq(sent, got, sizeof(sent));
	alone_settle(&alone);
	ck_assert(is_at_end(fd));
	ck_assert_uint_eq(alone.daemon.population.n_connections, 0);

	fd_close(fd);
	alone_close(&alone);
}

START_TEST(echo_by_pieces)
{
	check_echo(300000, 300000, 0);
	check_echo(300000, 300000, 4608);
	check_echo(7000, 100000, 4608);
	check_echo(100000, 7000, 4608);
	check_echo(50000, 3333, 0);
}
END_TEST

START_TEST(echo_holds_one_piece_for_who_does_not_read)
{
	static char data[65536];
	struct alone alone;
	size_t pushed = 0;
	int fd;

	alone_open(&alone);
	fd = alone_connect(&alone, &echo_stream_protocol, 4608);
	for (;;) {
		ssize_t n = send(fd, data, sizeof(data), MSG_DONTWAIT);

		if (n > 0)
			pushed += (size_t)n;
		alone_settle(&alone);
		if (n < 0)
			break;
		/* Both socket buffers and one piece, with the kernel's overhead on top. */
		ck_assert_uint_lt(pushed, 256 * 1024);
	}
	/* It leaves with bytes unread on both sides. */
	fd_close(fd);
	alone_settle(&alone);
	ck_assert_uint_eq(alone.daemon.population.n_connections, 0);
	alone_close(&alone);
}
END_TEST

START_TEST(echo_packets)
{
	static const size_t sizes[] = { 1, 0, 4000, 0, 0, 3 };
	char packet[4096] = "";
	struct alone alone;
	int fd;

	alone_open(&alone);
	fd = alone_connect(&alone, &echo_packet_protocol, 0);
	for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
		ck_assert_int_eq(send(fd, packet, sizes[i], 0), (ssize_t)sizes[i]);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	alone_settle(&alone);
	for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
		ck_assert_int_eq(recv(fd, packet, sizeof(packet), MSG_DONTWAIT), (ssize_t)sizes[i]);
	ck_assert_uint_eq(alone.daemon.population.n_connections, 0);
	fd_close(fd);

	/* One that does not read: its packet is kept until it does, and reading stops. */
	fd = alone_connect(&alone, &echo_packet_protocol, 4608);
	for (unsigned i = 0; i < 1000; i++) {
		if (send(fd, packet, 1000, MSG_DONTWAIT) < 0)
			break;
		alone_settle(&alone);
		ck_assert_uint_lt(i, 100);
	}
	alone_settle(&alone);
	while (recv(fd, packet, sizeof(packet), MSG_DONTWAIT) > 0)
		alone_settle(&alone);
	ck_assert_uint_eq(alone.daemon.population.n_connections, 1);
	ck_assert_int_eq(send(fd, "again", 5, 0), 5);
	alone_settle(&alone);
	ck_assert_int_eq(recv(fd, packet, sizeof(packet), MSG_DONTWAIT), 5);

	fd_close(fd);
	alone_close(&alone);
}
END_TEST

/* Conversations, each with what the client says and what it hears. */
static const struct conversation {
	const char *said, *heard; /* '|' stands for the NUL that ends a message */
	bool closed;
} conversations[] = {
	{ "{\"method\":\"io.porterd.Credentials.Check\"}|", "{\"parameters\":{\"satisfied\":true,\"failed\":[]}}|", false },
	{ "{\"method\":\"io.porterd.Credentials.Check\",\"oneway\":true}|{\"method\":\"x\"}|",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x\"}}|", false },
	{ "{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"x\"}}|{\"method\":\"x\"}|",
	  "{\"error\":\"io.porterd.Files.OpenerUnavailable\"}|"
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x\"}}|", false },
	{ "{\"method\":\"x\"}|||{\"method\":\"x\"}|",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x\"}}|", true },
	{ "{\"method\":\"x\"}|{\"method\"|",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x\"}}|", true },
	{ "nonsense|", "", true },
	{ "{\"method\":\"x\"", "", false },
};

static void check_conversation(const struct conversation *conversation, size_t piece)
{
	char said[512], heard[512];
	size_t size = strlen(conversation->said);
	struct alone alone;
	int fd;

	for (size_t i = 0; i < size; i++)
		said[i] = conversation->said[i] == '|' ? '\0' : conversation->said[i];

	alone_open(&alone);
	fd = alone_connect(&alone, &varlink_stream_protocol, 0);
	for (size_t at = 0; at < size; at += piece) {
		(void)send(fd, said + at, MIN_OF(piece, size - at), MSG_NOSIGNAL);
		alone_settle(&alone);
	}
	size = read_some(fd, heard, sizeof(heard) - 1);
	for (size_t i = 0; i < size; i++)
		heard[i] = heard[i] ? heard[i] : '|';
	heard[size] = '\0';
	ck_assert_str_eq(heard, conversation->heard);
	ck_assert_uint_eq(alone.daemon.population.n_connections, conversation->closed ? 0 : 1);

	fd_close(fd);
	alone_settle(&alone);
	ck_assert_uint_eq(alone.daemon.population.n_connections, 0);
	alone_close(&alone);
}

START_TEST(varlink_conversations)
{
	for (size_t i = 0; i < ELEMENTSOF(conversations); i++) {
		check_conversation(&conversations[i], 1000);
		check_conversation(&conversations[i], 17);
		if (!unit_under_valgrind())
			check_conversation(&conversations[i], 1);
	}
}
END_TEST

/* All calls are received at once: nothing but room can move what is left of the replies. */
START_TEST(varlink_replies_wait_for_room)
{
	static const char call[] = "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
				   "\"parameters\":{\"interface\":\"io.porterd.Files\"}}";
	static char heard[16384];
	const unsigned calls = 10;
	unsigned replies = 0;
	struct alone alone;
	size_t size;
	int fd;

	alone_open(&alone);
	fd = alone_connect(&alone, &varlink_stream_protocol, 4608);
	for (unsigned i = 0; i < calls; i++)
		ck_assert_int_eq(send(fd, call, sizeof(call), MSG_DONTWAIT), (ssize_t)sizeof(call));
	alone_settle(&alone);
	while ((size = read_some(fd, heard, sizeof(heard))) > 0) {
		for (size_t i = 0; i < size; i++)
			replies += heard[i] == '\0';
		alone_settle(&alone);
	}
	ck_assert_uint_eq(replies, calls);
	fd_close(fd);
	alone_close(&alone);
}
END_TEST

START_TEST(drain_answers_what_was_received)
{
	char buffer[16];
	struct alone alone;
	int echo, varlink;

	alone_open(&alone);
	echo = alone_connect(&alone, &echo_stream_protocol, 0);
	varlink = alone_connect(&alone, &varlink_stream_protocol, 0);
	ck_assert_int_eq(send(echo, "hello", 5, 0), 5);
	ck_assert_int_eq(send(varlink, "{\"method\":\"x\"}", 15, 0), 15);
	daemon_drain(&alone.daemon);
	alone_settle(&alone);

	ck_assert_uint_eq(read_some(echo, buffer, sizeof(buffer)), 5);
	ck_assert(is_at_end(echo));
	ck_assert_uint_eq(read_some(varlink, buffer, sizeof(buffer)), sizeof(buffer));
	ck_assert_uint_eq(alone.daemon.population.n_connections, 0);

	fd_close(echo);
	fd_close(varlink);
	alone_close(&alone);
}
END_TEST

/* A client of the abstract address. */
static int connect_to(const struct sockaddr_un *address, unsigned size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)address, size), 0);
	return fd;
}

START_TEST(at_the_limit_new_clients_wait)
{
	const size_t others = CONFIG_CONNECTIONS_MAX - 1;
	struct sockaddr_un address;
	unsigned size = unit_make_address(&address, "limit");
	int listener, first, second;
	struct alone alone;
	char byte;

	alone_open(&alone);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(listener, 10), 0);
	ck_assert_int_eq(listener_add(&alone.daemon.population, &echo_stream_protocol, listener), 0);

	/* As if all but one of the places were taken. */
	alone.daemon.population.n_connections = others;
	first = connect_to(&address, size);
	second = connect_to(&address, size);
	ck_assert_int_eq(send(first, "x", 1, 0), 1);
	ck_assert_int_eq(send(second, "y", 1, 0), 1);
	alone_settle(&alone);
	ck_assert_int_eq(recv(first, &byte, 1, MSG_DONTWAIT), 1);
	ck_assert_int_eq(recv(second, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_uint_eq(alone.daemon.population.n_connections, CONFIG_CONNECTIONS_MAX);

	/* Some leave, and the one who waited is served. */
	alone.daemon.population.n_connections -= 100;
	fd_close(first);
	alone_settle(&alone);
	ck_assert_int_eq(recv(second, &byte, 1, MSG_DONTWAIT), 1);
	ck_assert_int_eq(byte, 'y');

	fd_close(second);
	alone_settle(&alone);
	ck_assert_uint_eq(alone.daemon.population.n_connections, others - 100);
	alone_close(&alone);
}
END_TEST

START_TEST(no_descriptor_stays)
{
	size_t before = unit_count_fds();

	check_echo(50000, 50000, 0);
	check_conversation(&conversations[3], 1000);
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(echo_by_pieces),
		UNIT_TEST(echo_holds_one_piece_for_who_does_not_read),
		UNIT_TEST(echo_packets),
		UNIT_TEST(varlink_conversations),
		UNIT_TEST(varlink_replies_wait_for_room),
		UNIT_TEST(drain_answers_what_was_received),
		UNIT_TEST(at_the_limit_new_clients_wait),
		UNIT_TEST(no_descriptor_stays),
		{ 0 },
	};

	return unit_run("streams", tests, &(struct unit_around){ .seconds = 120 });
}
