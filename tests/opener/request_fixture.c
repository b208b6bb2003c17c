/* SPDX-License-Identifier: MIT
 *
 * Requests of porterd's, as tests make them.
 */
#include "request_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>

static struct recorder *recorder;
static struct policy *policy;
static struct refusals refusals;

struct request_service service;
struct response response;
struct packet packet;
int journal, listener, client, accepted;

static void report(const struct policy_error *error, void *data)
{
	(void)data;
	ck_abort_msg("%s", error->message);
}

void load_text(const char *text)
{
	struct policy_source source = { .directories = { fixture_directory }, .owner = getuid() };

	fixture_write("files.conf", text, 0644);
	policy_free(policy);
	ck_assert_int_eq(policy_load(&policy, &source, report, NULL), 0);
	service.policy = policy;
}

void request_setup(void)
{
	fixture_setup();
	journal = fixture_listen("journal", SOCK_DGRAM);
	listener = fixture_listen("listener", SOCK_STREAM);
	client = fixture_connect("listener", SOCK_STREAM);
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_eq(recorder_new_journal(&recorder, "test", fixture_path("journal")), 0);
	refusals = (struct refusals){ 0 };
	service = (struct request_service){ .recorder = recorder, .refusals = &refusals };
	ck_assert_int_eq(clients_new(&service.clients), 0);
	ck_assert_int_eq(copies_new(&service.copies), 0);
	load_text("");
}

void request_teardown(void)
{
	fdset_clear(&response.fds);
	recorder_free(recorder);
	recorder = NULL;
	policy_free(policy);
	policy = NULL;
	clients_free(service.clients);
	copies_free(service.copies);
	(void)close(journal);
	(void)close(listener);
	(void)close(client);
	(void)close(accepted);
	fixture_teardown();
}

void start(enum opener_operation operation)
{
	memset(&packet, 0, sizeof(packet));
	packet.header = (struct opener_request){
		.version = OPENER_WIRE_VERSION,
		.operation = operation,
		.serial = 0x1122334455667788,
	};
}

void add(const char *label)
{
	(void)snprintf(packet.labels[packet.header.count++], OPENER_LABEL_SIZE, "%s", label);
}

size_t packet_size(void)
{
	return sizeof(packet.header) + packet.header.count * OPENER_LABEL_SIZE;
}

static struct request request;
static struct fdset fds;

static void begin_serve(ssize_t size, int fd)
{
	fdset_init(&fds);
	if (fd >= 0)
		ck_assert_int_eq(fdset_add(&fds, fcntl(fd, F_DUPFD_CLOEXEC, 0)), 0);
	fdset_clear(&response.fds);
	request_serve(&request, &service, &packet, size, &fds, &response);
}

enum opener_result serve_answer(void)
{
	begin_serve((ssize_t)packet_size(), accepted);
	return response.header.result;
}

void withdraw(const char *reason)
{
	request_withdraw(&request, reason);
}

void serve_sent(void)
{
	request_finish(&request);
	ck_assert_uint_eq(fds.count, 0);
	ck_assert_uint_eq(response.fds.count, 0);
}

/* As if the answer had to wait: it keeps what it carries. */
void serve_rest(void)
{
	struct fdset answer;

	fdset_move(&answer, &response.fds);
	request_finish(&request);
	fdset_move(&response.fds, &answer);
	ck_assert_uint_eq(fds.count, 0);
}

enum opener_result serve_with(ssize_t size, int fd)
{
	begin_serve(size, fd);
	serve_rest();
	ck_assert_uint_eq(response.header.version, OPENER_WIRE_VERSION);
	ck_assert_uint_eq(response.header.reserved, 0);
	ck_assert_uint_le(response.header.text_size, OPENER_TEXT_MAX);
	if (response.header.result != OPENER_OK || response.header.operation != OPENER_OPEN)
		ck_assert_uint_eq(response.fds.count, 0);
	return response.header.result;
}

enum opener_result serve(void)
{
	enum opener_result result = serve_with((ssize_t)packet_size(), accepted);

	ck_assert_uint_eq(response.header.operation, packet.header.operation);
	ck_assert_uint_eq(response.header.serial, packet.header.serial);
	return result;
}

void forget_clients(void)
{
	(void)clients_sweep(service.clients);
	ck_assert(!clients_sweep(service.clients));
}

const char *text(void)
{
	static char buffer[OPENER_TEXT_MAX + 1];

	memcpy(buffer, response.text, response.header.text_size);
	buffer[response.header.text_size] = '\0';
	return buffer;
}

const char *record(void)
{
	static char buffer[65536];
	ssize_t size = recv(journal, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);

	buffer[size > 0 ? size : 0] = '\0';
	for (ssize_t i = 0; i < size; i++)
		if (buffer[i] == '\0')
			buffer[i] = '\1';
	return buffer;
}

void ck_field(const char *of, const char *field)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "\n%s\n", field);
	ck_assert_msg(strstr(of, line), "%s is not in:\n%s", field, of);
}

void ck_number(const char *of, const char *name, long long value)
{
	char field[128];

	(void)snprintf(field, sizeof(field), "%s=%lld", name, value);
	ck_field(of, field);
}

/* With access for writing: to an owner who is not root, reading alone is unsafe. */
const char *grant(const char *name, const char *file)
{
	static char buffers[4][4096];
	static unsigned next;
	char *buffer = buffers[next++ % 4];

	(void)snprintf(buffer, 4096, "[%s]\nPath=%s\nAccess=read-write\nAllowUser=%u\n", name,
		       file[0] == '/' ? file : fixture_path(file), getuid());
	return buffer;
}

void load_three(void)
{
	char all[8192];

	fixture_write("one", "1", 0600);
	fixture_write("two", "2", 0600);
	(void)snprintf(all, sizeof(all), "%s%s%s[theirs]\nPath=/etc/passwd\nAllowUser=4242\n", grant("one", "one"),
		       grant("two", "two"), grant("gone", "gone"));
	load_text(all);
}
