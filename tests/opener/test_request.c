/* SPDX-License-Identifier: MIT
 *
 * Requests: packets as porterd may and may not send them, with real connections of clients, and the records
 * that they leave.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "fixture.h"
#include "opener/request.h"
#include "record/message_id.h"

static struct recorder *recorder;
static struct policy *policy;
static struct request_service service;
static struct response response;
static int journal, listener, client, accepted;

static void report(const struct policy_error *error, void *data)
{
	(void)data;
	ck_abort_msg("%s", error->message);
}

static void load(const char *text)
{
	struct policy_source source = { .directories = { fixture_directory }, .owner = getuid() };

	fixture_write("files.conf", text, 0644);
	policy_free(policy);
	ck_assert_int_eq(policy_load(&policy, &source, report, NULL), 0);
	service.policy = policy;
}

static void setup(void)
{
	fixture_setup();
	journal = fixture_listen("journal", SOCK_DGRAM);
	listener = fixture_listen("listener", SOCK_STREAM);
	client = fixture_connect("listener", SOCK_STREAM);
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_eq(recorder_new_journal(&recorder, "test", fixture_path("journal")), 0);
	service = (struct request_service){ .recorder = recorder };
	load("");
}

static void teardown(void)
{
	fdset_clear(&response.fds);
	recorder_free(recorder);
	recorder = NULL;
	policy_free(policy);
	policy = NULL;
	(void)close(journal);
	(void)close(listener);
	(void)close(client);
	(void)close(accepted);
	fixture_teardown();
}

struct packet {
	struct opener_request header;
	char labels[OPENER_FILES_MAX + 2][OPENER_LABEL_SIZE];
};

static struct packet packet;

static void start(enum opener_operation operation)
{
	memset(&packet, 0, sizeof(packet));
	packet.header = (struct opener_request){
		.version = OPENER_WIRE_VERSION,
		.operation = operation,
		.serial = 0x1122334455667788,
	};
}

static void add(const char *label)
{
	(void)snprintf(packet.labels[packet.header.count++], OPENER_LABEL_SIZE, "%s", label);
}

static size_t packet_size(void)
{
	return sizeof(packet.header) + packet.header.count * OPENER_LABEL_SIZE;
}

/* Sends the packet with a duplicate of an fd (negative: none). */
static enum opener_result serve_with(ssize_t size, int fd)
{
	struct fdset fds;

	fdset_init(&fds);
	if (fd >= 0)
		ck_assert_int_eq(fdset_add(&fds, fcntl(fd, F_DUPFD_CLOEXEC, 0)), 0);
	fdset_clear(&response.fds);
	request_serve(&service, &packet, size, &fds, &response);
	ck_assert_uint_eq(fds.count, 0);
	ck_assert_uint_eq(response.header.version, OPENER_WIRE_VERSION);
	ck_assert_uint_eq(response.header.reserved, 0);
	ck_assert_uint_le(response.header.text_size, OPENER_TEXT_MAX);
	if (response.header.result != OPENER_OK || response.header.operation != OPENER_OPEN)
		ck_assert_uint_eq(response.fds.count, 0);
	return response.header.result;
}

static enum opener_result serve(void)
{
	enum opener_result result = serve_with((ssize_t)packet_size(), accepted);

	ck_assert_uint_eq(response.header.operation, packet.header.operation);
	ck_assert_uint_eq(response.header.serial, packet.header.serial);
	return result;
}

static const char *text(void)
{
	static char buffer[OPENER_TEXT_MAX + 1];

	memcpy(buffer, response.text, response.header.text_size);
	buffer[response.header.text_size] = '\0';
	return buffer;
}

/* The next record, "" if there is none. Binary fields keep their form. */
static const char *record(void)
{
	static char buffer[65536];
	ssize_t size = recv(journal, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);

	buffer[size > 0 ? size : 0] = '\0';
	for (ssize_t i = 0; i < size; i++)
		if (buffer[i] == '\0')
			buffer[i] = '\1';
	return buffer;
}

static void ck_field(const char *of, const char *field)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "\n%s\n", field);
	ck_assert_msg(strstr(of, line), "%s is not in:\n%s", field, of);
}

static void ck_number(const char *of, const char *name, long long value)
{
	char field[128];

	(void)snprintf(field, sizeof(field), "%s=%lld", name, value);
	ck_field(of, field);
}

/* A grant for this test's own user, who owns the file: unless that is root, reading alone is unsafe. */
static const char *grant(const char *name, const char *file)
{
	static char buffers[4][4096];
	static unsigned next;
	char *buffer = buffers[next++ % 4];

	(void)snprintf(buffer, 4096, "[%s]\nPath=%s\nAccess=read-write\nAllowUser=%u\n", name,
		       file[0] == '/' ? file : fixture_path(file), getuid());
	return buffer;
}

static void load_three(void)
{
	char all[8192];

	fixture_write("one", "1", 0600);
	fixture_write("two", "2", 0600);
	(void)snprintf(all, sizeof(all), "%s%s%s[theirs]\nPath=/etc/passwd\nAllowUser=4242\n", grant("one", "one"),
		       grant("two", "two"), grant("gone", "gone"));
	load(all);
}

START_TEST(open_one)
{
	struct stat status;
	const char *r;
	char byte;

	load_three();
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.header.count, 1);
	ck_assert_uint_eq(response.fds.count, 1);
	ck_assert_int_eq(read(response.fds.fds[0], &byte, 1), 1);
	ck_assert_int_eq(byte, '1');
	ck_assert_int_eq(fstat(response.fds.fds[0], &status), 0);

	r = record();
	ck_field(r, "MESSAGE_ID=" MESSAGE_ID_GRANTED);
	ck_field(r, "PORTERD_FILE=one");
	ck_assert_ptr_nonnull(strstr(r, "PORTERD_PATH=/"));
	ck_field(r, "PORTERD_ACCESS=read-write");
	ck_field(r, "PORTERD_RESULT=granted");
	ck_field(r, "PORTERD_REASON=AllowUser= names the client");
	ck_number(r, "PORTERD_CLIENT_UID", getuid());
	ck_number(r, "PORTERD_CLIENT_GID", getgid());
	ck_number(r, "PORTERD_CLIENT_PID", getpid());
	ck_number(r, "PORTERD_INODE", (long long)status.st_ino);
	ck_assert_ptr_nonnull(strstr(r, "\nPORTERD_DEVICE="));
	ck_assert_ptr_nonnull(strstr(r, "\nPORTERD_SEQUENCE="));
	ck_assert_ptr_nonnull(strstr(r, ") was opened for read-write for uid "));
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.granted, 1);
	ck_assert_uint_eq(service.refused, 0);
	ck_assert_uint_eq(service.requests, 1);
}
END_TEST

/* One file of several is refused: none comes, the index says which, and each has its record. */
static const struct {
	const char *labels[3];
	enum opener_result result;
	uint32_t index;
	const char *reasons[3];
} refusals[] = {
	{ { "one", "two", "theirs" }, OPENER_NOT_PERMITTED, 2, { "another", "another", "the client's user" } },
	{ { "theirs", "one", "two" }, OPENER_NOT_PERMITTED, 0, { "the client's user", "another", "another" } },
	{ { "one", "none", "theirs" }, OPENER_UNKNOWN_FILE, 1, { "another", "the policy has no", "the client's user" } },
	{ { "one", "gone", "two" }, OPENER_FILE_MISSING, 1, { "another", "there is no such file", "another" } },
	{ { "gone", "one", "gone" }, OPENER_FILE_MISSING, 0, { "there is no", "another", NULL } },
	{ { "one", "one", "none" }, OPENER_UNKNOWN_FILE, 2, { "another", NULL, "the policy has no" } },
	{ { "one", "gone", "none" }, OPENER_UNKNOWN_FILE, 2, { "another", "another", "the policy has no" } },
	{ { "one", "", "two" }, OPENER_UNKNOWN_FILE, 1, { "another", "the policy has no", "another" } },
};

START_TEST(all_or_none)
{
	load_three();
	start(OPENER_OPEN);
	for (size_t i = 0; i < 3; i++)
		add(refusals[_i].labels[i]);
	ck_assert_int_eq(serve(), refusals[_i].result);
	ck_assert_uint_eq(response.header.index, refusals[_i].index);
	ck_assert_uint_eq(response.header.count, 0);
	ck_assert_ptr_nonnull(strstr(text(), refusals[_i].reasons[refusals[_i].index]));

	for (size_t i = 0; i < 3; i++) {
		const char *r = refusals[_i].reasons[i] ? record() : NULL;
		char field[128];

		if (!r) /* it was recorded with the same name before */
			continue;

		ck_field(r, "MESSAGE_ID=" MESSAGE_ID_REFUSED);
		ck_field(r, "PORTERD_RESULT=refused");
		(void)snprintf(field, sizeof(field), "PORTERD_FILE=%s", refusals[_i].labels[i]);
		ck_field(r, field);
		(void)snprintf(field, sizeof(field), "\nPORTERD_REASON=%s", refusals[_i].reasons[i]);
		ck_assert_msg(strstr(r, field), "%s", r);
	}
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.granted, 0);
	ck_assert_uint_eq(service.refused, 3);
}
END_TEST

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

START_TEST(no_fd_is_left_open)
{
	int before;

	load_three();
	start(OPENER_OPEN);
	add("one");
	add("two");
	add("gone");
	before = count_fds();
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(serve(), OPENER_FILE_MISSING);
	ck_assert_int_eq(before, count_fds());
}
END_TEST

START_TEST(order_is_kept)
{
	char all[8192] = "", name[32], content[8];

	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "f%02d", i);
		fixture_write(name, name + 1, 0600);
		(void)strcat(all, grant(name, name));
	}
	load(all);
	start(OPENER_OPEN);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "f%02d", i * 7 % 20);
		add(name);
	}
	add("f03"); /* twice is no mistake */
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, 21);
	for (int i = 0; i < 20; i++) {
		memset(content, 0, sizeof(content));
		ck_assert_int_eq(read(response.fds.fds[i], content, 4), 2);
		ck_assert_int_eq(atoi(content), i * 7 % 20);
	}
}
END_TEST

START_TEST(as_many_as_may_be)
{
	load_three();
	start(OPENER_OPEN);
	for (int i = 0; i < OPENER_FILES_MAX; i++)
		add("one");
	ck_assert_uint_eq(packet_size(), REQUEST_SIZE_MAX);
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, OPENER_FILES_MAX);
	add("one");
	ck_assert_int_eq(serve(), OPENER_TOO_MANY_FILES);
	packet.header.count = UINT32_MAX;
	ck_assert_int_eq(serve_with(sizeof(packet.header), accepted), OPENER_TOO_MANY_FILES);
}
END_TEST

static void load_copies(int n)
{
	char all[8192] = "", name[32];

	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "copy%d", i);
		fixture_write(name, name, 0600);
		ck_assert_int_eq(truncate(fixture_path(name), 4 << 20), 0);
		(void)snprintf(all + strlen(all), sizeof(all) - strlen(all),
			       "[%s]\nPath=%s\nDeliver=copy\nAllowUser=%u\n", name, fixture_path(name), getuid());
	}
	load(all);
}

START_TEST(one_copy_is_enough)
{
	struct stat first, status;
	char content[5];

	load_copies(1);
	start(OPENER_OPEN);
	for (int i = 0; i < OPENER_FILES_MAX; i++)
		add("copy0");
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.fds.count, OPENER_FILES_MAX);
	ck_assert_int_eq(fstat(response.fds.fds[0], &first), 0);
	for (size_t i = 0; i < response.fds.count; i++) {
		ck_assert_int_eq(fstat(response.fds.fds[i], &status), 0);
		ck_assert_uint_eq(first.st_ino, status.st_ino);
		/* Each has a place of its own, and none can write. */
		ck_assert_int_eq(read(response.fds.fds[i], content, 5), 5);
		ck_assert_mem_eq(content, "copy0", 5);
		ck_assert_int_eq(fcntl(response.fds.fds[i], F_GETFL) & O_ACCMODE, O_RDONLY);
		ck_assert_int_eq(fcntl(response.fds.fds[i], F_GETFD), FD_CLOEXEC);
	}
	/* All are counted, one is recorded. */
	ck_assert_uint_eq(service.granted, OPENER_FILES_MAX);
	ck_field(record(), "PORTERD_FILE=copy0");
	ck_assert_str_eq(record(), "");
}
END_TEST

START_TEST(copies_are_bounded_together)
{
	load_copies(5);
	start(OPENER_OPEN);
	add("copy3");
	add("copy0");
	add("copy0");
	add("copy1");
	add("copy2");
	ck_assert_int_eq(serve(), OPENER_OK);
	add("copy4");
	add("copy4");
	ck_assert_int_eq(serve(), OPENER_NOT_PERMITTED);
	ck_assert_uint_eq(response.header.index, 5);
	ck_assert_str_eq(text(), "the copies of one request may not have more than 16777216 bytes together");
}
END_TEST

/* What porterd must not send. The packet is a good one but for this. */
static void spoil(int how)
{
	switch (how) {
	case 0:
		packet.header.version = 0;
		break;
	case 1:
		packet.header.version = 2;
		break;
	case 2:
		packet.header.operation = 0;
		break;
	case 3:
		packet.header.operation = 4;
		break;
	case 4:
		packet.header.operation = UINT32_MAX;
		break;
	case 5:
		packet.header.count = 0;
		break;
	case 6:
		packet.header.cursor = 1;
		break;
	case 7:
		memset(packet.labels[0], 'x', OPENER_LABEL_SIZE);
		break;
	case 8:
		packet.labels[0][OPENER_LABEL_SIZE - 1] = 'x';
		break;
	case 9:
		packet.labels[0][4] = 'x';
		break;
	case 10:
		packet.header.operation = OPENER_CHECK;
		packet.header.count = 2;
		break;
	case 11:
		packet.header.operation = OPENER_LIST;
		break;
	default:
		ck_abort();
	}
}

START_TEST(spoilt_packets)
{
	load_three();
	start(OPENER_OPEN);
	add("one");
	spoil(_i);
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), accepted), OPENER_BAD_REQUEST);
	ck_assert_uint_eq(response.header.serial, packet.header.serial);
	ck_assert_uint_gt(response.header.text_size, 0);
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.refused, 0);
}
END_TEST

START_TEST(spoilt_sizes)
{
	ssize_t whole;

	load_three();
	start(OPENER_OPEN);
	add("one");
	whole = (ssize_t)packet_size();
	for (ssize_t size = 0; size < (ssize_t)sizeof(packet); size++) {
		enum opener_result result = serve_with(size, accepted);

		ck_assert_int_eq(result, size == whole ? OPENER_OK : OPENER_BAD_REQUEST);
		ck_assert_uint_eq(response.header.serial,
				  size < (ssize_t)sizeof(packet.header) ? 0 : packet.header.serial);
	}
}
END_TEST

/* Its sender waits for the serial. */
START_TEST(lost_packets)
{
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve_with(-EMFILE, -1), OPENER_BUSY);
	ck_assert_uint_eq(response.header.serial, packet.header.serial);
	ck_assert_uint_eq(response.header.operation, OPENER_OPEN);
	ck_assert_int_eq(serve_with(-EBADMSG, -1), OPENER_BAD_REQUEST);
	ck_assert_uint_eq(response.header.serial, packet.header.serial);
	packet.header.version = 0;
	ck_assert_int_eq(serve_with(-EMFILE, -1), OPENER_BUSY);
	ck_assert_uint_eq(response.header.serial, 0);
	ck_assert_str_eq(record(), "");
}
END_TEST

START_TEST(wrong_number_of_fds)
{
	struct fdset fds;

	load_three();
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), -1), OPENER_BAD_REQUEST);
	fdset_init(&fds);
	(void)fdset_add(&fds, dup(accepted));
	(void)fdset_add(&fds, dup(accepted));
	request_serve(&service, &packet, (ssize_t)packet_size(), &fds, &response);
	ck_assert_uint_eq(fds.count, 0);
	ck_assert_int_eq(response.header.result, OPENER_BAD_REQUEST);
	ck_assert_str_eq(record(), "");
}
END_TEST

/* Everything but the accepted end of a client's stream connection. Most of these would tell the credentials of
 * somebody: the listener's, or this process's. */
static int wrong_fd(int kind)
{
	int pair[2], fd;

	switch (kind) {
	case 0: /* the connecting end: its peer is whoever listens */
		return dup(client);
	case 1: /* what listens: its peer is itself */
		return dup(listener);
	case 2:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		return pair[0];
	case 3:
		return socket(AF_UNIX, SOCK_STREAM, 0);
	case 4:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		return pair[0];
	case 5:
		(void)fixture_listen("seqpacket", SOCK_SEQPACKET);
		return fixture_connect("seqpacket", SOCK_SEQPACKET);
	case 6:
		fd = fixture_listen("packets", SOCK_SEQPACKET);
		(void)fixture_connect("packets", SOCK_SEQPACKET);
		return accept(fd, NULL, NULL);
	case 7:
		return dup(journal);
	case 8:
		return socket(AF_INET, SOCK_STREAM, 0);
	case 9:
		ck_assert_int_eq(pipe(pair), 0);
		return pair[0];
	case 10:
		return open("/dev/null", O_RDONLY);
	case 11:
		return open(fixture_directory, O_PATH);
	case 12: /* bound, and connecting: as in 0, and with an address of its own */
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&(struct sockaddr_un){ .sun_family = AF_UNIX },
				      sizeof(sa_family_t)), 0);
		(void)close(client);
		client = fd;
		fd = fixture_connect("listener", SOCK_STREAM);
		return fd;
	default:
		ck_abort();
	}
}

START_TEST(wrong_kinds_of_fds)
{
	int fd = wrong_fd(_i);

	load_three();
	for (enum opener_operation operation = OPENER_OPEN; operation <= OPENER_LIST; operation++) {
		start(operation);
		if (operation != OPENER_LIST)
			add("one");
		ck_assert_int_eq(serve_with((ssize_t)packet_size(), fd), OPENER_BAD_REQUEST);
		ck_assert_str_eq(text(), "the request came without a client's connected stream socket");
	}
	ck_assert_str_eq(record(), "");
}
END_TEST

/* A connecting end with an address looks like an accepted one, but for its peer's address. */
START_TEST(bound_clients)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	int ends[2];

	load_three();
	ends[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(ends[0], (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&address, size), 0);
	ends[1] = accept(listener, NULL, NULL);

	for (size_t i = 0; i < 2; i++) {
		start(OPENER_OPEN);
		add("one");
		add("none");
		ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[i]), OPENER_NOT_PERMITTED);
		ck_assert_ptr_nonnull(strstr(text(), "is bound to an address"));
		ck_field(record(), "PORTERD_FILE=one");
		ck_field(record(), "PORTERD_FILE=none");
		ck_assert_str_eq(record(), "");
		start(OPENER_LIST);
		ck_assert_int_eq(serve_with((ssize_t)packet_size(), ends[i]), OPENER_NOT_PERMITTED);
	}
	ck_assert_uint_eq(service.refused, 4);
}
END_TEST

/* Who connected elsewhere did not ask for a file. */
START_TEST(other_sockets)
{
	const char *const elsewhere[] = { "/run/porterd/io.porterd", "@listener", NULL };
	const char *const here[] = { "/run/porterd/io.porterd", fixture_path("listener"), NULL };
	const char *const abstract[] = { "@porterd-test-abstract", NULL };
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0porterd-test-abstract" };
	const socklen_t size = offsetof(struct sockaddr_un, sun_path) + 22;
	int fd, end;

	load_three();
	for (enum opener_operation operation = OPENER_OPEN; operation <= OPENER_LIST; operation++) {
		start(operation);
		if (operation != OPENER_LIST)
			add("one");
		service.sockets = elsewhere;
		ck_assert_int_eq(serve(), OPENER_NOT_PERMITTED);
		ck_assert_ptr_nonnull(strstr(text(), "not connected to a socket of porterd's"));
		if (operation == OPENER_OPEN)
			ck_field(record(), "PORTERD_RESULT=refused");
		service.sockets = here;
		ck_assert_int_eq(serve(), OPENER_OK);
		if (operation == OPENER_OPEN)
			ck_field(record(), "PORTERD_RESULT=granted");
	}

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	end = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(connect(end, (struct sockaddr *)&address, size), 0);
	fd = accept(fd, NULL, NULL);
	start(OPENER_LIST);
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), fd), OPENER_NOT_PERMITTED);
	service.sockets = abstract;
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), fd), OPENER_OK);
}
END_TEST

START_TEST(a_client_that_left)
{
	pid_t child;
	int gone;

	load_three();
	child = fork();
	if (child == 0) {
		(void)fixture_connect("listener", SOCK_STREAM);
		_exit(0);
	}
	gone = accept(listener, NULL, NULL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);

	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), gone), OPENER_NOT_PERMITTED);
	ck_assert_str_eq(text(), "the process that connected has exited");
	ck_field(record(), "PORTERD_REASON=the process that connected has exited");
}
END_TEST

START_TEST(nothing_of_the_client_is_received)
{
	char byte = 0;

	load_three();
	ck_assert_int_eq(send(client, "x", 1, 0), 1);
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_int_eq(recv(accepted, &byte, 1, MSG_DONTWAIT), 1);
	ck_assert_int_eq(byte, 'x');
}
END_TEST

START_TEST(strange_names_are_recorded_as_they_are)
{
	const char *r;

	start(OPENER_OPEN);
	add("a\nPORTERD_RESULT=granted\x1b\xff");
	ck_assert_int_eq(serve(), OPENER_UNKNOWN_FILE);
	r = record();
	ck_field(r, "PORTERD_RESULT=refused");
	ck_assert_ptr_null(strstr(r, "\nPORTERD_RESULT=granted\n"));
	ck_assert_ptr_nonnull(strstr(r, "PORTERD_FILE\n"));
	ck_assert_ptr_nonnull(strstr(r, "a\nPORTERD_RESULT=granted\x1b\xff"));
	ck_assert_ptr_nonnull(strstr(r, "MESSAGE=a?PORTERD_RESULT=granted?? was refused to uid "));
	ck_assert_ptr_null(strstr(r, "PORTERD_PATH"));
}
END_TEST

START_TEST(check)
{
	static const struct {
		const char *label;
		enum opener_result result;
		const char *reason;
	} cases[] = {
		{ "one", OPENER_OK, "AllowUser= names the client" },
		{ "gone", OPENER_FILE_MISSING, "there is no such file" },
		{ "theirs", OPENER_NOT_PERMITTED, "the client's user is not in AllowUser=" },
		{ "none", OPENER_UNKNOWN_FILE, "the policy has no such file" },
	};

	load_three();
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		start(OPENER_CHECK);
		add(cases[i].label);
		ck_assert_int_eq(serve(), cases[i].result);
		ck_assert_str_eq(text(), cases[i].reason);
	}
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.granted + service.refused, 0);
	ck_assert_uint_eq(service.requests, ELEMENTSOF(cases));
}
END_TEST

START_TEST(list)
{
	static char all[1 << 20];
	uint32_t cursor = 0, pages = 0, seen = 0;
	size_t used = 0;

	for (int i = 0; i < 1000; i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used,
					 "[f%03d]\nPath=/f\nAllowUser=%u\nDescription=file %d %*s.\nAccess=append\n", i,
					 i % 2 ? getuid() : 4242, i, 200, "");
	load(all);
	do {
		const char *at;

		start(OPENER_LIST);
		packet.header.cursor = cursor;
		ck_assert_int_eq(serve(), OPENER_OK);
		at = response.text;
		for (uint32_t i = 0; i < response.header.count; i++, seen++) {
			char name[32];

			(void)snprintf(name, sizeof(name), "f%03u", 2 * seen + 1);
			ck_assert_str_eq(at, name);
			at += strlen(at) + 1;
			ck_assert_int_eq(strncmp(at, "file ", 5), 0);
			at += strlen(at) + 1;
			ck_assert_str_eq(at, "append");
			at += strlen(at) + 1;
		}
		ck_assert_ptr_eq(at, response.text + response.header.text_size);
		cursor = response.header.cursor;
		pages++;
	} while (cursor != 0);
	ck_assert_uint_eq(seen, 500);
	ck_assert_uint_gt(pages, 5);

	start(OPENER_LIST);
	packet.header.cursor = UINT32_MAX;
	ck_assert_int_eq(serve(), OPENER_OK);
	ck_assert_uint_eq(response.header.count, 0);
	ck_assert_uint_eq(response.header.cursor, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request");
	TCase *tests = tcase_create("request");

	fixture_need_openat2();
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, open_one);
	tcase_add_loop_test(tests, all_or_none, 0, ELEMENTSOF(refusals));
	tcase_add_test(tests, no_fd_is_left_open);
	tcase_add_test(tests, order_is_kept);
	tcase_add_test(tests, as_many_as_may_be);
	tcase_add_test(tests, one_copy_is_enough);
	tcase_add_test(tests, copies_are_bounded_together);
	tcase_add_loop_test(tests, spoilt_packets, 0, 12);
	tcase_add_test(tests, spoilt_sizes);
	tcase_add_test(tests, lost_packets);
	tcase_add_test(tests, wrong_number_of_fds);
	tcase_add_loop_test(tests, wrong_kinds_of_fds, 0, 13);
	tcase_add_test(tests, bound_clients);
	tcase_add_test(tests, other_sockets);
	tcase_add_test(tests, a_client_that_left);
	tcase_add_test(tests, nothing_of_the_client_is_received);
	tcase_add_test(tests, strange_names_are_recorded_as_they_are);
	tcase_add_test(tests, check);
	tcase_add_test(tests, list);
	suite_add_tcase(suite, tests);
	return fixture_run(suite);
}
