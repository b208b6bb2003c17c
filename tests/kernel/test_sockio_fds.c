/* SPDX-License-Identifier: MIT
 *
 * Messages with fds, and messages with what the kernel attests: whatever comes, no fd is left behind.
 */
#include "sockio_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "kernel/sockopt.h"

static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
static const size_t counts[] = { 0, 1, 2, 252, 253 };

START_TEST(fds_arrive_and_are_closed_on_exec)
{
	size_t before = unit_count_fds();

	for (size_t i = 0; i < ELEMENTSOF(types) * ELEMENTSOF(counts); i++) {
		size_t count = counts[i % ELEMENTSOF(counts)];
		struct fdset fds;
		char buffer[16];
		int ends[2];

		sockio_pair(types[i / ELEMENTSOF(counts)], ends);
		sockio_pass(ends[1], "abc", 3, count);
		ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), 3);
		ck_assert_mem_eq(buffer, "abc", 3);
		ck_assert_uint_eq(fds.count, count);
		ck_assert_uint_eq(unit_count_fds(), before + 2 + count);
		for (size_t n = 0; n < count; n++)
			ck_assert_int_eq(fcntl(fds.fds[n], F_GETFD), FD_CLOEXEC);
		fdset_clear(&fds);
		ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, MSG_DONTWAIT), -EAGAIN);
		ck_assert_uint_eq(fds.count, 0);
		sockio_close(ends);
		ck_assert_uint_eq(unit_count_fds(), before);
	}
}
END_TEST

START_TEST(parts_are_one_message)
{
	struct iovec parts[] = { { (void *)(uintptr_t)"head", 4 }, { (void *)(uintptr_t)"tail", 4 } };
	int ends[2], too_many[FDSET_MAX + 1];
	struct fdset fds;
	char buffer[16];

	sockio_pair(SOCK_SEQPACKET, ends);
	ck_assert_int_eq((int)sockio_send_fds(ends[1], parts, 2, &ends[1], 1, 0), 8);
	ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), 8);
	ck_assert_mem_eq(buffer, "headtail", 8);
	ck_assert_uint_eq(fds.count, 1);
	fdset_clear(&fds);

	for (size_t i = 0; i < ELEMENTSOF(too_many); i++)
		too_many[i] = ends[1];
	ck_assert_int_eq((int)sockio_send_fds(ends[1], parts, 2, too_many, ELEMENTSOF(too_many), 0), -EINVAL);
	too_many[1] = -EBADF;
	ck_assert_int_eq((int)sockio_send_fds(ends[1], parts, 2, too_many, 2, 0), -EBADF);
	ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, MSG_DONTWAIT), -EAGAIN);
	sockio_close(ends);
}
END_TEST

/* Two messages with fds are never one read, on a stream either, so each set belongs to its bytes. */
START_TEST(fds_stay_with_their_bytes)
{
	struct fdset fds;
	char buffer[16];
	int ends[2];

	sockio_pair(SOCK_STREAM, ends);
	sockio_pass(ends[1], "abc", 3, 1);
	sockio_pass(ends[1], "def", 3, 2);
	ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), 3);
	ck_assert_uint_eq(fds.count, 1);
	fdset_clear(&fds);
	ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, 1, &fds, 0), 1);
	ck_assert_uint_eq(fds.count, 2);
	fdset_clear(&fds);
	ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), 2);
	ck_assert_uint_eq(fds.count, 0);
	sockio_close(ends);
}
END_TEST

START_TEST(a_cut_packet_keeps_no_fds)
{
	size_t before;
	struct fdset fds;
	char buffer[2];
	int ends[2];

	sockio_pair(SOCK_SEQPACKET, ends);
	before = unit_count_fds();
	sockio_pass(ends[1], "abc", 3, 4);
	ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), -EBADMSG);
	ck_assert_uint_eq(fds.count, 0);
	ck_assert_uint_eq(unit_count_fds(), before);
	sockio_close(ends);
}
END_TEST

/* The process may have no more fds: the kernel then installs some, drops the others and says MSG_CTRUNC. */
START_TEST(half_a_set_is_none)
{
	struct rlimit limit, narrow;
	size_t before;
	struct fdset fds;
	char buffer[16];
	int ends[2];

	if (unit_under_valgrind())
		unit_skip("valgrind keeps RLIMIT_NOFILE from the kernel");

	sockio_pair(SOCK_STREAM, ends);
	sockio_pass(ends[1], "abc", 3, 10);
	sockio_pass(ends[1], "def", 3, 1);
	before = unit_count_fds();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);

	/* Fds are given from the lowest free number on, so there is room for at most four. */
	narrow = limit;
	narrow.rlim_cur = (rlim_t)(ends[1] > ends[0] ? ends[1] : ends[0]) + 1 + 4;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &narrow), 0);
	ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), -EMFILE);
	ck_assert_uint_eq(fds.count, 0);
	ck_assert_uint_eq(unit_count_fds(), before);

	ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), 3);
	ck_assert_mem_eq(buffer, "def", 3);
	ck_assert_uint_eq(fds.count, 1);
	fdset_clear(&fds);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	sockio_close(ends);
}
END_TEST

/* What these receivers did not ask for is not sorted out but refused. */
START_TEST(strange_control_data_is_refused)
{
	static const size_t n_passed[] = { 0, 1, 253 };

	for (size_t i = 0; i < 2 * ELEMENTSOF(n_passed); i++) {
		struct fdset fds;
		char buffer[16];
		size_t before;
		int ends[2];

		sockio_pair(SOCK_SEQPACKET, ends);
		before = unit_count_fds();
		ck_assert_int_eq(i % 2 ? sockopt_pass_attestation(ends[0]) : sockopt_pass_credentials(ends[0]), 0);
		sockio_pass(ends[1], "abc", 3, n_passed[i / 2]);
		ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), -EBADMSG);
		ck_assert_uint_eq(fds.count, 0);
		ck_assert_uint_eq(unit_count_fds(), before);
		sockio_close(ends);
	}

	/* A pidfd alone, which is an fd in a header of its own. */
	{
		struct fdset fds;
		char buffer[16];
		size_t before;
		int ends[2], one = 1;

		sockio_pair(SOCK_SEQPACKET, ends);
		before = unit_count_fds();
		if (setsockopt(ends[0], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof(one)) == 0) {
			sockio_pass(ends[1], "abc", 3, 1);
			ck_assert_int_eq((int)sockio_receive_fds(ends[0], buffer, sizeof(buffer), &fds, 0), -EBADMSG);
			ck_assert_uint_eq(unit_count_fds(), before);
		}
		sockio_close(ends);
	}
}
END_TEST

START_TEST(one_fd_goes_to_an_address)
{
	struct sockaddr_un address;
	socklen_t size = unit_make_address(&address, "one-fd");
	struct iovec part = { (void *)(uintptr_t)"x", 1 };
	int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct fdset fds;
	char buffer[4];

	ck_assert_int_eq(sockio_send_to(from, &part, 1, (struct sockaddr *)&address, size, -1), -ECONNREFUSED);
	ck_assert_int_eq(bind(to, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(sockio_send_to(from, NULL, 0, (struct sockaddr *)&address, size, from), 0);
	ck_assert_int_eq((int)sockio_receive_fds(to, buffer, sizeof(buffer), &fds, 0), 0);
	ck_assert_uint_eq(fds.count, 1);
	ck_assert_int_ge(fcntl(from, F_GETFD), 0);
	fdset_clear(&fds);

	while (sockio_send_to(from, &part, 1, (struct sockaddr *)&address, size, -1) == 0)
		;
	ck_assert_int_eq(sockio_send_to(from, &part, 1, (struct sockaddr *)&address, size, from), -EAGAIN);
	(void)close(to);
	(void)close(from);
}
END_TEST

/* --- attested messages --- */

static void attested_pair(int ends[2])
{
	sockio_pair(SOCK_DGRAM, ends);
	ck_assert_int_eq(sockopt_pass_attestation(ends[0]), 0);
}

START_TEST(the_kernel_says_who_sent)
{
	size_t before = unit_count_fds();
	struct sockio_sender sender;
	struct pollfd process = { .events = POLLIN };
	char buffer[16];
	int ends[2];

	attested_pair(ends);
	memset(&sender, 0xff, sizeof(sender));
	ck_assert_int_eq((int)sockio_send(ends[1], "abc", 3, 0), 3);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 3);
	ck_assert_mem_eq(buffer, "abc", 3);
	ck_assert(sender.attested);
	ck_assert_int_eq(sender.credentials.pid, getpid());
	ck_assert_uint_eq(sender.credentials.uid, getuid());
	ck_assert_uint_eq(sender.credentials.gid, getgid());
	ck_assert_uint_eq(sender.address_size, 0);

	process.fd = sender.pidfd;
	if (sender.pidfd >= 0) {
		ck_assert_int_eq(fcntl(sender.pidfd, F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(poll(&process, 1, 0), 0);
		ck_assert_uint_eq(unit_count_fds(), before + 3);
	}
	sockio_sender_clear(&sender);
	ck_assert_int_lt(sender.pidfd, 0);
	sockio_sender_clear(&sender);
	ck_assert_uint_eq(unit_count_fds(), before + 2);
	sockio_close(ends);
	if (process.fd < 0)
		unit_skip("this kernel sends no SCM_PIDFD: credentials alone were compared");
}
END_TEST

START_TEST(labels_come_along)
{
	struct sockio_sender sender;
	char buffer[16], own[SOCKIO_LABEL_MAX] = "";
	int ends[2];

	attested_pair(ends);
	(void)sockopt_peer_label(ends[0], own, sizeof(own));
	ck_assert_int_eq((int)sockio_send(ends[1], "abc", 3, 0), 3);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 3);
	sockio_sender_clear(&sender);
	sockio_close(ends);
	if (sender.label[0] == '\0')
		unit_skip("no security module labels sockets here");
	if (own[0] != '\0')
		ck_assert_str_eq(sender.label, own);
}
END_TEST

START_TEST(a_message_without_credentials_says_so)
{
	struct sockio_sender sender;
	char buffer[16];
	int ends[2];

	sockio_pair(SOCK_DGRAM, ends);
	ck_assert_int_eq((int)sockio_send(ends[1], "abc", 3, 0), 3);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 3);
	ck_assert(!sender.attested);
	ck_assert_int_lt(sender.pidfd, 0);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, MSG_DONTWAIT), -EAGAIN);
	ck_assert_int_lt(sender.pidfd, 0);

	/* Queued before anyone wanted to know, it comes with credentials that name nobody. */
	ck_assert_int_eq((int)sockio_send(ends[1], "abc", 3, 0), 3);
	ck_assert_int_eq(sockopt_pass_attestation(ends[0]), 0);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 3);
	ck_assert(!sender.attested);
	ck_assert_int_lt(sender.pidfd, 0);
	sockio_close(ends);
}
END_TEST

/* 68 to 74 lie around what the control buffer has room for. */
START_TEST(fds_beside_an_attestation_are_refused)
{
	static const size_t n_passed[] = { 1, 2, 3, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 128, 252, 253 };
	static const size_t n_unread = 2;
	struct sockio_sender sender;
	char buffer[16];
	size_t before;
	int ends[2];

	attested_pair(ends);
	before = unit_count_fds();
	for (size_t i = 0; i < ELEMENTSOF(n_passed); i++) {
		for (size_t n = 0; n < n_unread; n++)
			sockio_pass(ends[1], "abc", 3, n_passed[i]);
		for (size_t n = 0; n < n_unread; n++) {
			ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, n ? 1 : sizeof(buffer),
								      &sender, MSG_DONTWAIT), -EBADMSG);
			ck_assert_int_lt(sender.pidfd, 0);
			ck_assert_uint_eq(unit_count_fds(), before);
		}
	}

	ck_assert_int_eq((int)sockio_send(ends[1], "abc", 3, 0), 3);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 3);
	ck_assert(sender.attested);
	sockio_sender_clear(&sender);
	sockio_close(ends);
}
END_TEST

/* No fd is free: the kernel has nothing to show for those that came but MSG_CTRUNC. */
START_TEST(fds_that_find_no_room_are_noticed)
{
	struct sockio_sender sender;
	struct rlimit limit, narrow;
	char buffer[16];
	int ends[2];

	if (unit_under_valgrind())
		unit_skip("valgrind keeps RLIMIT_NOFILE from the kernel");

	attested_pair(ends);
	sockio_pass(ends[1], "abc", 3, 2);
	ck_assert_int_eq((int)sockio_send(ends[1], "def", 3, 0), 3);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	narrow = limit;
	narrow.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &narrow), 0);
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), -EBADMSG);
	ck_assert_int_lt(sender.pidfd, 0);

	/* Who sent is known all the same; only the process can't be held. */
	ck_assert_int_eq((int)sockio_receive_attested(ends[0], buffer, sizeof(buffer), &sender, 0), 3);
	ck_assert(sender.attested);
	ck_assert_int_eq(sender.credentials.pid, getpid());
	ck_assert_int_lt(sender.pidfd, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	sockio_close(ends);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(fds_arrive_and_are_closed_on_exec),
		UNIT_TEST(parts_are_one_message),
		UNIT_TEST(fds_stay_with_their_bytes),
		UNIT_TEST(a_cut_packet_keeps_no_fds),
		UNIT_TEST(half_a_set_is_none),
		UNIT_TEST(strange_control_data_is_refused),
		UNIT_TEST(one_fd_goes_to_an_address),
		UNIT_TEST(the_kernel_says_who_sent),
		UNIT_TEST(labels_come_along),
		UNIT_TEST(a_message_without_credentials_says_so),
		UNIT_TEST(fds_beside_an_attestation_are_refused),
		UNIT_TEST(fds_that_find_no_room_are_noticed),
		{ 0 },
	};

	return unit_run("sockio with fds", tests, NULL);
}
