/* SPDX-License-Identifier: MIT
 *
 * Activation: which service each socket that systemd hands over is for, and what is wrong with those that are for
 * none. Every case is a process of its own, whose fds from 3 on are the sockets.
 */
#include "porterd/activation.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "base/number.h"
#include "kernel/pidfd.h"
#include "services/protocols.h"
#include "tests/base/unit.h"

enum kind {
	NONE,
	STREAM_LISTENS,
	STREAM_CONNECTED,
	STREAM_ALONE, /* neither listens nor is connected */
	PACKET_LISTENS,
	PACKET_CONNECTED,
	DATAGRAM,
	TCP_LISTENS,
	NO_SOCKET,
};

static int make_socket(enum kind kind)
{
	static const int types[] = {
		[STREAM_LISTENS] = SOCK_STREAM,	      [STREAM_CONNECTED] = SOCK_STREAM,
		[STREAM_ALONE] = SOCK_STREAM,	      [PACKET_LISTENS] = SOCK_SEQPACKET,
		[PACKET_CONNECTED] = SOCK_SEQPACKET, [DATAGRAM] = SOCK_DGRAM,
	};
	struct sockaddr_in internet = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd, pair[2];

	if (kind == NO_SOCKET)
		return open("/dev/null", O_RDWR);
	if (kind == STREAM_CONNECTED || kind == PACKET_CONNECTED)
		return socketpair(AF_UNIX, types[kind], 0, pair) < 0 ? -1 : pair[0];

	fd = socket(kind == TCP_LISTENS ? AF_INET : AF_UNIX, kind == TCP_LISTENS ? SOCK_STREAM : types[kind], 0);
	if (kind == TCP_LISTENS)
		(void)bind(fd, (struct sockaddr *)&internet, sizeof(internet));
	else
		(void)bind(fd, (struct sockaddr *)&any, sizeof(sa_family_t));
	if (kind == STREAM_LISTENS || kind == PACKET_LISTENS || kind == TCP_LISTENS)
		(void)listen(fd, 1);
	return fd;
}

#define SOCKETS_MAX 3

static const struct handover {
	enum kind kinds[SOCKETS_MAX];
	const char *names, *serve;
	int result;
	const struct protocol *protocols[SOCKETS_MAX]; /* where all is well */
	bool connected;
	const char *words[2]; /* in the error */
} handovers[] = {
	{ { STREAM_LISTENS }, "varlink", NULL, 0, { &varlink_stream_protocol }, false, { 0 } },
	{ { PACKET_LISTENS }, "credentials", NULL, 0, { &credentials_packet_protocol }, false, { 0 } },
	{ { DATAGRAM }, "credentials", NULL, 0, { &credentials_datagram_protocol }, false, { 0 } },
	{ { STREAM_LISTENS }, "echo", NULL, 0, { &echo_stream_protocol }, false, { 0 } },
	{ { PACKET_LISTENS }, "echo", NULL, 0, { &echo_packet_protocol }, false, { 0 } },
	{ { DATAGRAM }, "echo", NULL, 0, { &echo_datagram_protocol }, false, { 0 } },
	{ { TCP_LISTENS }, "echo", NULL, 0, { &echo_stream_protocol }, false, { 0 } },
	{ { STREAM_CONNECTED }, "varlink", NULL, 0, { &varlink_stream_protocol }, true, { 0 } },
	{ { PACKET_CONNECTED }, "echo", NULL, 0, { &echo_packet_protocol }, true, { 0 } },
	{ { STREAM_LISTENS, DATAGRAM, STREAM_LISTENS }, "echo:echo:varlink", NULL, 0,
	  { &echo_stream_protocol, &echo_datagram_protocol, &varlink_stream_protocol }, false, { 0 } },
	/* --serve= goes before names, which older versions of systemd do not give. */
	{ { STREAM_CONNECTED }, "connection", "echo", 0, { &echo_stream_protocol }, true, { 0 } },
	{ { STREAM_LISTENS }, "varlink", "echo", 0, { &echo_stream_protocol }, false, { 0 } },
	{ { STREAM_LISTENS }, NULL, "echo", 0, { &echo_stream_protocol }, false, { 0 } },
	/* What a porterd before has left comes last, whatever it is. */
	{ { STREAM_LISTENS, STREAM_CONNECTED, NO_SOCKET }, "echo:porterd-kept:porterd-kept", NULL, 0, { &echo_stream_protocol }, false, { 0 } },
	{ { STREAM_LISTENS, STREAM_CONNECTED, NO_SOCKET }, "varlink:porterd-kept:porterd-kept", "echo", 0, { &echo_stream_protocol }, false, { 0 } },
	{ { STREAM_CONNECTED }, "porterd-kept", NULL, -ENODATA, { 0 }, false, { "" } },
	{ { NONE }, "", NULL, -ENODATA, { 0 }, false, { "" } },
	/* Programs that know no names hand over one listening stream. */
	{ { STREAM_LISTENS }, NULL, NULL, 0, { &varlink_stream_protocol }, false, { 0 } },
	{ { STREAM_LISTENS }, "unknown", NULL, 0, { &varlink_stream_protocol }, false, { 0 } },
	{ { STREAM_LISTENS, STREAM_LISTENS }, NULL, NULL, -EINVAL, { 0 }, false, { "fd 3 has the name 'unknown'", "--serve=" } },
	{ { STREAM_LISTENS, NO_SOCKET }, "unknown:porterd-kept", NULL, -EINVAL, { 0 }, false, { "'unknown'" } },
	{ { STREAM_CONNECTED }, NULL, NULL, -EINVAL, { 0 }, false, { "fd 3 has the name 'unknown'", "varlink" } },
	{ { DATAGRAM }, NULL, NULL, -EINVAL, { 0 }, false, { "'unknown'" } },
	{ { PACKET_LISTENS }, NULL, NULL, -EINVAL, { 0 }, false, { "'unknown'" } },
	{ { TCP_LISTENS }, NULL, NULL, -EINVAL, { 0 }, false, { "'unknown'" } },
	{ { STREAM_LISTENS }, "nonsense", NULL, -EINVAL, { 0 }, false, { "fd 3 has the name 'nonsense'" } },
	{ { STREAM_LISTENS }, "varlink", "nonsense", -EINVAL, { 0 }, false, { "'nonsense'" } },
	{ { STREAM_LISTENS, DATAGRAM }, "varlink:varlink", NULL, -EINVAL, { 0 }, false,
	  { "fd 4 (varlink)", "not a socket of a type" } },
	{ { PACKET_LISTENS }, "varlink", NULL, -EINVAL, { 0 }, false, { "not a socket of a type" } },
	{ { STREAM_LISTENS }, "credentials", NULL, -EINVAL, { 0 }, false, { "not a socket of a type" } },
	{ { NO_SOCKET }, "echo", NULL, -EINVAL, { 0 }, false, { "fd 3 (echo)", "not a socket of a type" } },
	{ { TCP_LISTENS }, "varlink", NULL, -EINVAL, { 0 }, false, { "fd 3 (varlink)", "not an AF_UNIX socket" } },
	{ { STREAM_LISTENS, STREAM_CONNECTED }, "echo:echo", NULL, -EINVAL, { 0 }, false, { "fd 4 does not listen" } },
	{ { STREAM_CONNECTED, STREAM_CONNECTED }, "echo:echo", NULL, -EINVAL, { 0 }, false,
	  { "fd 3 does not listen" } },
	{ { STREAM_ALONE }, "echo", NULL, -EINVAL, { 0 }, false, { "fd 3 neither listens nor is connected" } },
	/* The first fault is the one that is told. */
	{ { DATAGRAM, STREAM_LISTENS }, "varlink:nonsense", NULL, -EINVAL, { 0 }, false, { "fd 3 (varlink)" } },
};

static size_t count_kept(const char *names)
{
	size_t count = 0;

	for (const char *at = names; at && (at = strstr(at, "porterd-kept")); at++)
		count++;
	return count;
}

/* Puts the sockets where systemd does, and takes them over. */
static int take_over(void *argument)
{
	const struct handover *handover = argument;
	struct activation activation;
	char number[16];
	int fds[SOCKETS_MAX];
	size_t count = 0, n_kept = count_kept(handover->names);

	for (size_t i = 0; i < SOCKETS_MAX && handover->kinds[i] != NONE; i++) {
		fds[i] = fcntl(make_socket(handover->kinds[i]), F_DUPFD, 100);
		unit_expect(fds[i] >= 0);
		count++;
	}
	for (int fd = SD_LISTEN_FDS_START; fd < 100; fd++)
		(void)close(fd);
	for (size_t i = 0; i < count; i++) {
		unit_expect(dup2(fds[i], SD_LISTEN_FDS_START + (int)i) >= 0);
		(void)close(fds[i]);
	}
	(void)snprintf(number, sizeof(number), "%d", getpid());
	(void)setenv("LISTEN_PID", number, 1);
	(void)snprintf(number, sizeof(number), "%zu", count);
	if (count > 0)
		(void)setenv("LISTEN_FDS", number, 1);
	else
		(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_PIDFDID");
	if (handover->names)
		(void)setenv("LISTEN_FDNAMES", handover->names, 1);
	else
		(void)unsetenv("LISTEN_FDNAMES");

	unit_expect(activation_take(&activation, handover->serve) == handover->result);
	for (size_t i = 0; i < ELEMENTSOF(handover->words) && handover->words[i]; i++)
		unit_expect(strstr(activation.error, handover->words[i]));
	unit_expect(activation.count == count - n_kept);
	unit_expect(activation.n_kept == n_kept);
	for (size_t i = 0; i < n_kept; i++)
		unit_expect(activation.kept[i] == SD_LISTEN_FDS_START + (int)(count - n_kept + i));
	unit_expect(!getenv("LISTEN_FDS"));
	if (handover->result == 0) {
		unit_expect(activation.error[0] == '\0');
		for (size_t i = 0; i < count - n_kept; i++) {
			unit_expect(activation.sockets[i].fd == SD_LISTEN_FDS_START + (int)i);
			unit_expect(activation.sockets[i].protocol == handover->protocols[i]);
			unit_expect(activation.sockets[i].connected == handover->connected);
			unit_expect(fcntl(activation.sockets[i].fd, F_GETFD) == FD_CLOEXEC);
		}
		/* One that was taken out of it is not closed with the others. */
		unit_expect(TAKE_FD(activation.sockets[0].fd) == SD_LISTEN_FDS_START);
	}

	activation_clear(&activation);
	for (size_t i = 0; i < count; i++)
		unit_expect((fcntl(SD_LISTEN_FDS_START + (int)i, F_GETFD) >= 0) == (handover->result == 0 && i == 0));
	return 0;
}

START_TEST(each_socket_finds_its_service)
{
	ck_assert_int_eq(unit_in_child(take_over, (void *)(uintptr_t)&handovers[_i]), 0);
}
END_TEST

/* What the variables say, of which "%" is this process's number, and "^" the ID of its pidfd. fds 3 and 4 are open, 5 is not,
 * and both are listening streams. */
static const struct environment {
	const char *fds, *pid, *names, *id;
	int result;
	const char *words[2]; /* in the error */
} environments[] = {
	{ "2", "%", "echo:varlink", NULL, 0, { 0 } },
	{ "2", "%", "echo:varlink", "^", 0, { 0 } },
	{ "2", "%", "echo:varlink", "", 0, { 0 } },
	{ NULL, NULL, NULL, NULL, -ENODATA, { "" } },
	{ "2", NULL, "echo:varlink", NULL, -ENODATA, { "" } },
	{ NULL, "%", "echo:varlink", NULL, -ENODATA, { "" } },
	{ "", "%", "", NULL, -ENODATA, { "" } },
	{ "0", "%", "", NULL, -ENODATA, { "" } },
	{ "2", "1", "echo:varlink", NULL, -ENODATA, { "" } },
	{ "2", "%", "echo:varlink", "1", -ENODATA, { "" } },
	{ "-1", "%", "", NULL, -EINVAL, { "LISTEN_FDS=-1", "not a number" } },
	{ "two", "%", "", NULL, -EINVAL, { "LISTEN_FDS=two", "not a number" } },
	{ "2 ", "%", "echo:varlink", NULL, -EINVAL, { "LISTEN_FDS=2 ", "not a number" } },
	{ "4294967298", "%", "echo:varlink", NULL, -EINVAL, { "LISTEN_FDS=4294967298", "not a number up to" } },
	{ "1000000000", "%", "echo:varlink", NULL, -EINVAL, { "LISTEN_FDS=1000000000", "more than" } },
	{ "3", "%", "echo:varlink:echo", NULL, -EINVAL, { "LISTEN_FDS=3", "fd 5 is not" } },
	{ "2", "%", "echo", NULL, -EINVAL, { "LISTEN_FDNAMES=echo has 1 names", "LISTEN_FDS=2" } },
	{ "2", "%", "", NULL, -EINVAL, { "LISTEN_FDNAMES=", "has 1 names" } },
	{ "2", "%", "echo:varlink:", NULL, -EINVAL, { "has 3 names" } },
	{ "2", "me", "echo:varlink", NULL, -EINVAL, { "LISTEN_PID=me", "not a number" } },
	{ "2", "%", "echo:varlink", "x", -EINVAL, { "LISTEN_PIDFDID=x", "not a number" } },
};

static void set_variable(const char *name, const char *value)
{
	char number[NUMBER_TEXT_SIZE];
	uint64_t id = 0;

	if (!value) {
		(void)unsetenv(name);
		return;
	}
	/* Where the kernel has no such ID, any is right. */
	if (strcmp(value, "^") == 0)
		(void)pidfd_own_id(&id);
	if (strcmp(value, "%") == 0 || strcmp(value, "^") == 0) {
		(void)number_write(*value == '%' ? (uint64_t)getpid() : id, number);
		value = number;
	}
	(void)setenv(name, value, 1);
}

static int take_environment(void *argument)
{
	const struct environment *environment = argument;
	struct activation activation;
	uint64_t id;

	/* An ID that is another process's tells nothing where there are none. */
	if (environment->id && strcmp(environment->id, "1") == 0 && pidfd_own_id(&id) < 0)
		return 0;
	for (int fd = SD_LISTEN_FDS_START; fd < 100; fd++)
		(void)close(fd);
	unit_expect(make_socket(STREAM_LISTENS) == SD_LISTEN_FDS_START);
	unit_expect(make_socket(STREAM_LISTENS) == SD_LISTEN_FDS_START + 1);
	set_variable("LISTEN_FDS", environment->fds);
	set_variable("LISTEN_PID", environment->pid);
	set_variable("LISTEN_FDNAMES", environment->names);
	set_variable("LISTEN_PIDFDID", environment->id);

	unit_expect(activation_take(&activation, NULL) == environment->result);
	for (size_t i = 0; i < ELEMENTSOF(environment->words) && environment->words[i]; i++)
		unit_expect(strstr(activation.error, environment->words[i]));
	unit_expect((activation.error[0] != '\0') == (environment->result == -EINVAL));
	unit_expect(activation.count == (environment->result == 0 ? 2 : 0));
	unit_expect(!getenv("LISTEN_FDS") && !getenv("LISTEN_PIDFDID"));
	activation_clear(&activation);
	return 0;
}

START_TEST(variables_are_said_to_be_wrong)
{
	ck_assert_int_eq(unit_in_child(take_environment, (void *)(uintptr_t)&environments[_i]), 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(each_socket_finds_its_service, ELEMENTSOF(handovers)),
		UNIT_LOOP(variables_are_said_to_be_wrong, ELEMENTSOF(environments)),
		{ 0 },
	};

	return unit_run("activation", tests, NULL);
}
