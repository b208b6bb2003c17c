/* SPDX-License-Identifier: MIT
 *
 * The way back to a datagram's sender, and what may lie on it by the time of the answer.
 */
#include "kernel/return_address.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "tests/base/unit.h"
#include "tests/opener/fixture.h"

static struct return_address back;

static void teardown(void)
{
	return_address_clear(&back);
	fixture_teardown();
}

/* Who sent from a socket bound to that path: this test's user. */
static struct sockio_sender sender_at(const char *path)
{
	struct sockio_sender sender = { .attested = true, .credentials = { .uid = geteuid() }, .pidfd = -EBADF };
	struct sockaddr_un *address = (struct sockaddr_un *)(void *)&sender.address;

	ck_assert_uint_lt(strlen(path), sizeof(address->sun_path));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, strlen(path) + 1);
	sender.address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	return sender;
}

/* Does an answer arrive at that socket? */
static bool arrives_at(int fd)
{
	_cleanup_close_ int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char byte;

	ck_assert_int_eq(sendto(from, "x", 1, 0, (struct sockaddr *)&back.address, back.size), 1);
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

START_TEST(a_socket_in_the_file_system_is_pinned)
{
	int own = fixture_listen("own", SOCK_DGRAM), other = fixture_listen("other", SOCK_DGRAM);
	struct sockio_sender sender = sender_at(fixture_path("own"));
	size_t before = unit_count_fds();

	ck_assert_int_eq(return_address_find(&back, &sender), 0);
	ck_assert_int_ge(back.pin, 0);
	ck_assert_int_eq(fcntl(back.pin, F_GETFD), FD_CLOEXEC);
	ck_assert(arrives_at(own));

	/* Whatever takes its name afterwards gets nothing. */
	ck_assert_int_eq(rename(fixture_path("other"), fixture_path("own")), 0);
	ck_assert(arrives_at(own));
	ck_assert(!arrives_at(other));

	return_address_clear(&back);
	ck_assert_int_lt(back.pin, 0);
	ck_assert_uint_eq(unit_count_fds(), before);
	return_address_clear(&back);
}
END_TEST

START_TEST(a_socket_of_somebody_else_is_refused)
{
	struct sockio_sender sender;
	size_t before;

	(void)fixture_listen("own", SOCK_DGRAM);
	sender = sender_at(fixture_path("own"));
	sender.credentials.uid++;
	before = unit_count_fds();
	ck_assert_int_eq(return_address_find(&back, &sender), -EPERM);
	ck_assert_int_lt(back.pin, 0);
	sender.attested = false;
	ck_assert_int_eq(return_address_find(&back, &sender), -ENODATA);
	ck_assert_uint_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(what_is_no_socket_is_refused)
{
	struct sockio_sender sender;
	int r;

	(void)fixture_listen("own", SOCK_DGRAM);
	fixture_write("file", "", 0666);
	ck_assert_int_eq(symlink("own", fixture_path("link")), 0);
	sender = sender_at(fixture_path("file"));
	ck_assert_int_eq(return_address_find(&back, &sender), -EPERM);
	/* Not even one that leads to the sender's own. */
	sender = sender_at(fixture_path("link"));
	ck_assert_int_eq(return_address_find(&back, &sender), -EPERM);
	/* Whether the kernel remembers that there is none is its own affair. */
	sender = sender_at(fixture_path("gone"));
	r = return_address_find(&back, &sender);
	ck_assert_msg(r == -ENOENT || r == -EAGAIN, "%d", r);
}
END_TEST

/* A path may fill the address to its last byte, without a NUL. */
START_TEST(the_longest_path_is_found)
{
	/* valgrind reads the path until there is a NUL, which lies behind it here. */
	struct {
		struct sockaddr_un address;
		char nul;
	} room = { .address.sun_family = AF_UNIX };
	struct sockaddr_un *address = &room.address;
	struct sockio_sender sender = { .attested = true, .credentials = { .uid = geteuid() }, .pidfd = -EBADF };
	char name[sizeof(room.address.sun_path) + 1];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(name, 'x', sizeof(name));
	memcpy(name, fixture_path(""), strlen(fixture_path("")));
	name[sizeof(name) - 1] = '\0';
	memcpy(address->sun_path, name, sizeof(room.address.sun_path));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	ck_assert_int_eq(access(name, F_OK), 0);

	memcpy(&sender.address, address, sizeof(*address));
	sender.address_size = sizeof(*address);
	ck_assert_int_eq(return_address_find(&back, &sender), 0);
	ck_assert(arrives_at(fd));
}
END_TEST

START_TEST(other_addresses_are_taken_as_they_are)
{
	struct sockaddr_in internet = { .sin_family = AF_INET, .sin_port = htons(7) };
	struct sockaddr_un abstract;
	struct sockio_sender sender = { .pidfd = -EBADF };
	unsigned size = unit_make_address(&abstract, "return");

	memcpy(&sender.address, &abstract, size);
	sender.address_size = size;
	ck_assert_int_eq(return_address_find(&back, &sender), 0);
	ck_assert_int_lt(back.pin, 0);
	ck_assert_uint_eq(back.size, size);
	ck_assert_mem_eq(&back.address, &abstract, size);

	memcpy(&sender.address, &internet, sizeof(internet));
	sender.address_size = sizeof(internet);
	ck_assert_int_eq(return_address_find(&back, &sender), 0);
	ck_assert_int_lt(back.pin, 0);
	ck_assert_uint_eq(back.size, sizeof(internet));
	ck_assert_mem_eq(&back.address, &internet, sizeof(internet));
}
END_TEST

START_TEST(without_an_address_there_is_no_way_back)
{
	struct sockio_sender sender = { .attested = true, .pidfd = -EBADF };

	ck_assert_int_eq(return_address_find(&back, &sender), -EDESTADDRREQ);
	sender.address.ss_family = AF_UNIX;
	sender.address_size = sizeof(sa_family_t);
	ck_assert_int_eq(return_address_find(&back, &sender), -EDESTADDRREQ);
	ck_assert_int_lt(back.pin, 0);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(a_socket_in_the_file_system_is_pinned),
		UNIT_TEST(a_socket_of_somebody_else_is_refused),
		UNIT_TEST(what_is_no_socket_is_refused),
		UNIT_TEST(the_longest_path_is_found),
		UNIT_TEST(other_addresses_are_taken_as_they_are),
		UNIT_TEST(without_an_address_there_is_no_way_back),
		{ 0 },
	};

	return unit_run("return address", tests,
			&(struct unit_around){ .setup = fixture_setup, .teardown = teardown });
}
