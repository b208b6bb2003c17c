/* SPDX-License-Identifier: MIT
 *
 * What sockets tell and refuse, asked of the running kernel.
 */
#include "kernel/sockopt.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "kernel/sockio.h"
#include "tests/base/unit.h"

/* Where net.core.wmem_max is set very high, memory in one piece is what limits a packet (ENOBUFS). */
#define PIECE_MAX (512UL * 1024UL)

static int listen_at(struct sockaddr_un *address, socklen_t *size, int type)
{
	int listener = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	*size = unit_make_address(address, "sockopt");
	ck_assert_int_eq(bind(listener, (struct sockaddr *)address, *size), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
	return listener;
}

static void connected(int type, int ends[2], int (*prepare)(int listener))
{
	struct sockaddr_un address;
	socklen_t size;
	int listener = listen_at(&address, &size, type);

	if (prepare)
		ck_assert_int_eq(prepare(listener), 0);
	ends[1] = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(ends[1], (struct sockaddr *)&address, size), 0);
	ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(ends[0], 0);
	(void)close(listener);
}

static void close_both(const int ends[2])
{
	fd_close(ends[0]);
	fd_close(ends[1]);
}

static int pass_one(int fd)
{
	struct iovec part = { (void *)(uintptr_t)"x", 1 };

	return (int)sockio_send_fds(fd, &part, 1, &fd, 1, MSG_DONTWAIT);
}

START_TEST(rights_are_refused_at_their_sender)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	char buffer[4];

	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		int ends[2], r;

		ck_assert_int_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, ends), 0);
		r = sockopt_refuse_rights(ends[0]);
		if (r == -ENOPROTOOPT) {
			close_both(ends);
			unit_skip("this kernel has no SO_PASSRIGHTS (Linux 6.16)");
		}
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(pass_one(ends[1]), -EPERM);
		ck_assert_int_eq((int)sockio_send(ends[1], "abc", 3, 0), 3);
		ck_assert_int_eq((int)sockio_receive(ends[0], buffer, sizeof(buffer), 0), 3);
		/* The other direction is the other's choice. */
		ck_assert_int_eq(pass_one(ends[0]), 1);
		close_both(ends);
	}
}
END_TEST

START_TEST(accepted_sockets_refuse_rights_too)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		struct sockaddr_un address;
		socklen_t size;
		int listener = listen_at(&address, &size, types[i]), ends[2];

		if (sockopt_refuse_rights(listener) == -ENOPROTOOPT) {
			(void)close(listener);
			unit_skip("this kernel has no SO_PASSRIGHTS (Linux 6.16)");
		}
		ends[1] = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(ends[1], (struct sockaddr *)&address, size), 0);
		ck_assert_int_eq(pass_one(ends[1]), -EPERM);
		ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		ck_assert_int_eq(pass_one(ends[1]), -EPERM);
		(void)close(listener);
		close_both(ends);
	}
}
END_TEST

START_TEST(accepted_sockets_attest_too)
{
	struct sockio_sender sender;
	char buffer[4];
	int ends[2];

	connected(SOCK_SEQPACKET, ends, sockopt_pass_attestation);
	ck_assert_int_eq((int)sockio_send(ends[1], "abc", 3, 0), 3);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 3);
	ck_assert(sender.attested);
	ck_assert_int_eq(sender.credentials.pid, getpid());
	sockio_sender_clear(&sender);
	close_both(ends);
}
END_TEST

static void assert_own_peer(int fd)
{
	gid_t *groups, own[NGROUPS_MAX];
	int n_own = getgroups(NGROUPS_MAX, own), pidfd;
	struct ucred peer;
	size_t n_groups;
	char label[SOCKIO_LABEL_MAX] = "unset";

	ck_assert_int_eq(sockopt_peer_credentials(fd, &peer), 0);
	ck_assert_int_eq(peer.pid, getpid());
	ck_assert_uint_eq(peer.uid, geteuid());
	ck_assert_uint_eq(peer.gid, getegid());

	ck_assert_int_eq(sockopt_peer_groups(fd, &groups, &n_groups), 0);
	ck_assert_uint_eq(n_groups, (size_t)n_own);
	if (n_own > 0)
		ck_assert_mem_eq(groups, own, (size_t)n_own * sizeof(gid_t));
	free(groups);

	pidfd = sockopt_peer_pidfd(fd);
	if (pidfd != -ENOPROTOOPT) {
		struct pollfd process = { .fd = pidfd, .events = POLLIN };

		ck_assert_int_ge(pidfd, 0);
		ck_assert_int_eq(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(poll(&process, 1, 0), 0);
		(void)close(pidfd);
	}

	if (sockopt_peer_label(fd, label, sizeof(label)) < 0)
		ck_assert_str_eq(label, "");
	else
		ck_assert_str_ne(label, "unset");
}

START_TEST(peers_are_told)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	size_t before = unit_count_fds();

	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		int ends[2];

		ck_assert_int_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, ends), 0);
		assert_own_peer(ends[0]);
		assert_own_peer(ends[1]);
		close_both(ends);

		connected(types[i], ends, NULL);
		assert_own_peer(ends[0]);
		assert_own_peer(ends[1]);
		close_both(ends);
	}
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(a_long_label_is_no_overflow)
{
	char label[2] = { 'x', 'y' };
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_le(sockopt_peer_label(ends[0], label, 1), 0);
	ck_assert_int_eq(label[0], '\0');
	ck_assert_int_eq(label[1], 'y');
	close_both(ends);
}
END_TEST

static const gid_t many_groups[] = { 5, 12346, 12347, 4000000000U };

/* A client that has other groups when it connects than later, when they are read. */
static int be_a_client_with_groups(const struct sockaddr_un *address, socklen_t size, int hold)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	unit_expect(setgroups(ELEMENTSOF(many_groups), many_groups) == 0);
	unit_expect(connect(fd, (const struct sockaddr *)address, size) == 0);
	unit_expect(setgroups(0, NULL) == 0);
	unit_expect(write(hold, "x", 1) == 1);
	unit_expect(read(fd, &byte, 1) == 0);
	return 0;
}

START_TEST(groups_are_those_of_the_connect)
{
	struct sockaddr_un address;
	socklen_t size;
	int listener = listen_at(&address, &size, SOCK_STREAM), hold[2], fd, status;
	gid_t *groups;
	size_t n_groups;
	char byte;
	pid_t child;

	if (geteuid() != 0) {
		(void)close(listener);
		unit_skip("only root can give a process groups");
	}
	ck_assert_int_eq(pipe2(hold, O_CLOEXEC), 0);
	child = fork();
	if (child == 0)
		_exit(be_a_client_with_groups(&address, size, hold[1]));
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq((int)read(hold[0], &byte, 1), 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	ck_assert_int_eq(sockopt_peer_groups(fd, &groups, &n_groups), 0);
	ck_assert_uint_eq(n_groups, ELEMENTSOF(many_groups));
	ck_assert_mem_eq(groups, many_groups, sizeof(many_groups));
	free(groups);
	(void)close(fd);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	(void)close(listener);
	close_both(hold);
}
END_TEST

START_TEST(a_peer_that_exited_has_no_live_pidfd)
{
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t size;
	int listener = listen_at(&address, &size, SOCK_STREAM), fd, pidfd, status;
	pid_t child = fork();

	if (child == 0) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		_exit(connect(fd, (struct sockaddr *)&address, size) == 0 ? 0 : 1);
	}
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);

	ck_assert_int_eq(sockopt_peer_credentials(fd, &peer), 0);
	ck_assert_uint_eq(peer.uid, geteuid());
	pidfd = sockopt_peer_pidfd(fd);
	(void)close(listener);
	if (pidfd == -ENOPROTOOPT) {
		(void)close(fd);
		unit_skip("this kernel has no SO_PEERPIDFD (Linux 6.5)");
	}
	/* Some kernels give a pidfd of a process that is no more. It then says so. */
	if (pidfd >= 0) {
		struct pollfd process = { .fd = pidfd, .events = POLLIN };

		ck_assert_int_eq(poll(&process, 1, 0), 1);
		(void)close(pidfd);
	} else {
		ck_assert_int_eq(pidfd, -ESRCH);
	}
	(void)close(fd);
}
END_TEST

START_TEST(what_is_no_socket_says_why)
{
	_cleanup_close_ int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct ucred peer;
	gid_t *groups = NULL;
	size_t n_groups;
	char label[8];

	ck_assert_int_eq(sockopt_peer_credentials(file, &peer), -ENOTSOCK);
	ck_assert_int_eq(sockopt_peer_groups(file, &groups, &n_groups), -ENOTSOCK);
	ck_assert_int_eq(sockopt_peer_pidfd(file), -ENOTSOCK);
	ck_assert_int_eq(sockopt_peer_label(file, label, sizeof(label)), -ENOTSOCK);
	ck_assert_int_eq(sockopt_pass_credentials(file), -ENOTSOCK);
	ck_assert_int_eq(sockopt_pass_attestation(-1), -EBADF);
}
END_TEST

START_TEST(the_largest_packet_is_known)
{
	static const int types[] = { SOCK_SEQPACKET, SOCK_DGRAM };
	/* The kernel keeps 32 bytes for itself (unix_dgram_sendmsg()). */
	size_t size = sockopt_packet_max();
	char *packet = calloc(1, size);

	ck_assert_uint_ge(size, 4096);
	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		struct sockio_sender sender;
		ssize_t sent;
		int ends[2];

		ck_assert_int_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, ends), 0);
		ck_assert_int_eq(sockopt_grow_send_buffer(ends[1]), 0);
		ck_assert_int_eq((int)sockio_send(ends[1], packet, size - 31, MSG_DONTWAIT), -EMSGSIZE);
		sent = sockio_send(ends[1], packet, size - 32, MSG_DONTWAIT);
		if (sent == -ENOBUFS && size - 32 > PIECE_MAX)
			sent = sockio_send(ends[1], packet, PIECE_MAX, MSG_DONTWAIT);
		else
			ck_assert_int_eq((int)sent, (int)(size - 32));
		ck_assert_int_gt((int)sent, 0);
		ck_assert_int_eq((int)sockio_receive_attested(ends[0], packet, size, &sender, 0), (int)sent);
		close_both(ends);
	}
	free(packet);
}
END_TEST

START_TEST(unread_messages_are_seen)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	char buffer[4096] = "";

	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		int ends[2];

		ck_assert_int_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, ends), 0);
		ck_assert_int_eq(sockopt_unread(ends[1]), 0);
		ck_assert(sockopt_all_read(ends[1]));

		/* One byte, which is charged with what the kernel needs for it. */
		ck_assert_int_eq((int)sockio_send(ends[1], "x", 1, 0), 1);
		ck_assert(!sockopt_all_read(ends[1]));
		ck_assert(sockopt_all_read(ends[0]));
		ck_assert_int_eq((int)sockio_send(ends[1], buffer, sizeof(buffer), 0), sizeof(buffer));
		ck_assert_int_ge(sockopt_unread(ends[1]), (int)sizeof(buffer));
		ck_assert_int_eq((int)sockio_receive(ends[0], buffer, 1, 0), 1);
		ck_assert(!sockopt_all_read(ends[1]));
		ck_assert_int_gt((int)sockio_receive(ends[0], buffer, sizeof(buffer), 0), 0);
		ck_assert(sockopt_all_read(ends[1]));

		if (types[i] == SOCK_SEQPACKET) {
			ck_assert_int_eq((int)sockio_send(ends[1], "", 0, 0), 0);
			ck_assert(!sockopt_all_read(ends[1]));
		}
		close_both(ends);
	}
}
END_TEST

/* One byte of this process and one of another. */
static void write_by_two(int fd)
{
	pid_t child;
	int status;

	ck_assert_int_eq((int)sockio_send(fd, "a", 1, 0), 1);
	child = fork();
	if (child == 0)
		_exit(sockio_send(fd, "b", 1, 0) != 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

START_TEST(nothing_stops_a_receive)
{
	char buffer[4];
	int ends[2], r;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(sockopt_received(ends[0]), 0);
	ck_assert_int_eq(sockopt_pass_attestation(ends[0]), 0);
	write_by_two(ends[1]);
	ck_assert_int_eq(sockopt_received(ends[0]), 2);
	ck_assert_int_eq((int)sockio_receive(ends[0], buffer, sizeof(buffer), 0), 1);
	ck_assert_int_eq(sockopt_received(ends[0]), 1);
	ck_assert_int_eq((int)sockio_receive(ends[0], buffer, sizeof(buffer), 0), 1);

	r = sockopt_pass_nothing(ends[0]);
	if (r == -ENOPROTOOPT) {
		close_both(ends);
		unit_skip("this kernel has no SO_PASSRIGHTS (Linux 6.16)");
	}
	ck_assert_int_eq(r, 0);
	write_by_two(ends[1]);
	ck_assert_int_eq((int)sockio_receive(ends[0], buffer, sizeof(buffer), 0), 2);
	ck_assert_int_eq(pass_one(ends[1]), -EPERM);
	close_both(ends);

	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_lt(sockopt_pass_nothing(ends[0]), 0);
	ck_assert_int_eq(sockopt_received(-1), -EBADF);
	fd_close(ends[0]);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(rights_are_refused_at_their_sender),
		UNIT_TEST(accepted_sockets_refuse_rights_too),
		UNIT_TEST(nothing_stops_a_receive),
		UNIT_TEST(accepted_sockets_attest_too),
		UNIT_TEST(peers_are_told),
		UNIT_TEST(a_long_label_is_no_overflow),
		UNIT_TEST(groups_are_those_of_the_connect),
		UNIT_TEST(a_peer_that_exited_has_no_live_pidfd),
		UNIT_TEST(what_is_no_socket_says_why),
		UNIT_TEST(the_largest_packet_is_known),
		UNIT_TEST(unread_messages_are_seen),
		{ 0 },
	};

	return unit_run("sockopt", tests, NULL);
}
