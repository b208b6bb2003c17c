/* SPDX-License-Identifier: MIT
 *
 * porterd between a client and an opener that says what the input says. The first byte is the client's call; then
 * come answers: a byte of flags, a byte with their number of descriptors, two bytes of size, and the bytes.
 *
 *	bit 0	the header's version, serial and size of the text are made right
 *	bit 1	its operation and count as well
 *	bit 2	the result is 0
 *	bit 3	the opener hangs up before it
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "base/opener_wire.h"
#include "kernel/sockio.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_server.h"

/* All of them or none. */
static const size_t counts[] = { 1, 3, 0, 0, 0, 0 };
static const char *const calls[] = {
	"{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"one\"}}",
	"{\"method\":\"io.porterd.Files.OpenMany\",\"parameters\":{\"files\":[\"one\",\"two\",\"three\"]}}",
	"{\"method\":\"io.porterd.Files.Check\",\"parameters\":{\"file\":\"one\"}}",
	"{\"method\":\"io.porterd.Files.List\"}",
	"{\"method\":\"io.porterd.Files.List\",\"more\":true}",
	"{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"one\"},\"oneway\":true}",
};

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int listener = -1;

static void open_all(void)
{
	if (listener >= 0)
		return;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/opener", fuzz_directory());
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fuzz_expect(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	fuzz_expect(listen(listener, 64) == 0);
	fuzz_server_open(address.sun_path);
}

/* The opener's end, of a connection that is there or has just come. */
static void take_connection(int *opener)
{
	if (*opener < 0)
		*opener = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* The last question that porterd has sent; what came with it is closed. False: there is none. */
static bool take_question(int opener, struct opener_request *ret)
{
	static char packet[sizeof(struct opener_request) + OPENER_FILES_MAX * OPENER_LABEL_SIZE];
	bool any = false;
	struct fdset fds;
	ssize_t size;

	while ((size = sockio_receive_fds(opener, packet, sizeof(packet), &fds, MSG_DONTWAIT)) > 0) {
		fuzz_expect(fds.count == 1);
		fdset_clear(&fds);
		memcpy(ret, packet, sizeof(*ret));
		fuzz_expect((size_t)size == sizeof(*ret) + (size_t)ret->count * OPENER_LABEL_SIZE);
		any = true;
	}
	return any;
}

static void answer(int opener, const struct opener_request *question, unsigned flags, size_t n_fds, const uint8_t *data,
		   size_t size)
{
	static uint8_t packet[sizeof(struct opener_reply) + 65536];
	struct iovec part = { packet, size };
	struct opener_reply reply = { 0 };
	int any = fuzz_any_fd(), fds[FDSET_MAX];

	memcpy(packet, data, size);
	if (size >= sizeof(reply)) {
		memcpy(&reply, packet, sizeof(reply));
		if (flags & 1) {
			reply.version = OPENER_WIRE_VERSION;
			reply.serial = question->serial;
			reply.text_size = (uint32_t)(size - sizeof(reply));
		}
		if (flags & 2) {
			reply.operation = question->operation;
			reply.count = (uint32_t)n_fds;
		}
		if (flags & 4)
			reply.result = OPENER_OK;
		memcpy(packet, &reply, sizeof(reply));
	}
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = any;
	(void)sockio_send_fds(opener, &part, 1, fds, n_fds, MSG_DONTWAIT);
	(void)close(any);
}

/* Each descriptor that the client got was promised to it, and it was promised none that it did not get. */
static void check_client(const char *data, size_t size, size_t n_fds)
{
	size_t promised = 0;

	for (size_t at = 0; at < size;) {
		const char *end = memchr(data + at, '\0', size - at);
		json_t *reply, *parameters;

		fuzz_expect(end);
		reply = json_loads(data + at, 0, NULL);
		fuzz_expect(json_is_object(reply));
		parameters = json_object_get(reply, "parameters");
		promised += json_object_get(parameters, "descriptor") ? 1 : 0;
		promised += json_array_size(json_object_get(parameters, "descriptors"));
		json_decref(reply);
		at = (size_t)(end - data) + 1;
	}
	fuzz_expect(promised == n_fds);
}

static void play(int *opener, const uint8_t *data, size_t size)
{
	struct opener_request question = { 0 };

	take_connection(opener);
	while (size >= 4) {
		unsigned flags = data[0];
		size_t n_fds = data[1] < FDSET_MAX ? data[1] : FDSET_MAX;
		size_t length = MIN_OF((size_t)data[2] | (size_t)data[3] << 8, size - 4);

		if (*opener >= 0 && (flags & 8)) {
			(void)close(TAKE_FD(*opener));
			fuzz_server_run();
		}
		take_connection(opener);
		if (*opener >= 0) {
			(void)take_question(*opener, &question);
			answer(*opener, &question, flags, n_fds, data + 4, length);
		}
		fuzz_server_run();
		data += 4 + length;
		size -= 4 + length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *call;
	char *said = NULL;
	size_t said_size = 0, n_fds = 0;
	int client, opener = -1;

	if (size == 0)
		return 0;
	open_all();

	client = fuzz_server_connect(&varlink_stream_protocol);
	call = calls[data[0] % ELEMENTSOF(calls)];
	fuzz_expect(sockio_send(client, call, strlen(call) + 1, MSG_DONTWAIT) > 0);
	fuzz_server_run();
	play(&opener, data + 1, size - 1);

	(void)fuzz_server_receive(client, &said, &said_size, &n_fds);
	check_client(said, said_size, n_fds);
	fuzz_expect(n_fds == 0 || n_fds == counts[data[0] % ELEMENTSOF(calls)]);
	free(said);
	(void)close(client);
	/* Whatever is still asked, and the connection that it was asked on. */
	fuzz_server_run();
	do {
		fd_close(TAKE_FD(opener));
		fuzz_server_run();
		take_connection(&opener);
	} while (opener >= 0);
	fuzz_server_check_idle();
	fuzz_check_fds();
	return 0;
}
