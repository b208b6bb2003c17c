/* SPDX-License-Identifier: MIT
 *
 * The opener's requests, as a porterd that was taken over could send them. Each request of the input is a byte of
 * flags, a byte that chooses the descriptor, two bytes of size, and the packet.
 *
 *	bit 0	the header's version and count are made right for the size
 *	bit 1	each label becomes a name of the policy, chosen by its first byte
 *	bit 2	each label is padded with NULs
 *	bit 3	the operation is one that there is
 *	bit 6	the packet was received with too many descriptors, or not as a whole
 *
 * What may be handed over is known, and nothing else is ever.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "kernel/pin.h"
#include "opener/serving/request.h"
#include "tests/fuzz/fuzz.h"

#define PATH_SIZE 256

/* Everything that the policy names, and what may come of it: fcntl()'s flags, -1: it is never opened. */
static const struct {
	const char *name, *content; /* content NULL: no file is made */
	const char *lines;
	bool ours; /* the client is in AllowUser= */
	int flags;
} files[] = {
	{ "one", "1", "Access=read-write\n", true, O_RDWR },
	{ "two", "2", "Access=append\n", true, O_WRONLY | O_APPEND },
	{ "write", "3", "Access=write\n", true, O_WRONLY },
	{ "copy", "4", "Deliver=copy\n", true, O_RDONLY },
	{ "theirs", "5", "Access=read-write\n", false, -1 },
	{ "gone", NULL, "Access=read-write\n", true, -1 },
	{ "link", NULL, "Access=read-write\n", true, -1 },
	{ "fifo", NULL, "Access=read-write\n", true, -1 },
	{ "broken", "6", "Access=everything\n", true, -1 },
};

static struct policy *policy;
static struct request_service service;
static struct refusals refusals;
static int listener, client, accepted;

static const char *path_of(const char *name)
{
	static char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/%s", fuzz_directory(), name);
	return path;
}

static void write_file(const char *name, const char *content)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	fuzz_expect(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	(void)close(fd);
}

static void ignore(const struct policy_error *error, void *data)
{
	(void)error;
	(void)data;
}

static void open_connection(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/listener", fuzz_directory());
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fuzz_expect(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 1) == 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fuzz_expect(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void open_all(void)
{
	struct policy_source source = { .directories = { fuzz_directory() }, .owner = getuid() };
	struct recorder *recorder;
	char text[8192] = "";

	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		size_t used = strlen(text);

		if (files[i].content)
			write_file(files[i].name, files[i].content);
		(void)snprintf(text + used, sizeof(text) - used, "[%s]\nPath=%s\nAllowUser=%u\n%s", files[i].name,
			       path_of(files[i].name), files[i].ours ? getuid() : 4242, files[i].lines);
	}
	fuzz_expect(symlink("one", path_of("link")) == 0);
	fuzz_expect(mkfifo(path_of("fifo"), 0600) == 0);
	write_file("files.conf", text);

	fuzz_expect(policy_load(&policy, &source, ignore, NULL) == 0);
	/* Without openat2() (an old valgrind) there are errors, and nothing is ever opened. */
	fuzz_expect(policy->n_errors == 1 || pin_open("/", NULL) == -ENOSYS);
	fuzz_expect(recorder_new_stderr(&recorder, "fuzz", fuzz_any_fd()) == 0);
	service = (struct request_service){ .policy = policy, .recorder = recorder, .refusals = &refusals };
	fuzz_expect(clients_new(&service.clients) == 0);
	fuzz_expect(copies_new(&service.copies) == 0);
	open_connection();
}

/* The descriptors that come with a request. True: they are the client's, as they should be. */
static bool add_fds(struct fdset *fds, unsigned kind)
{
	int pair[2];

	fdset_init(fds);
	switch (kind % 8) {
	case 0:
		return false;
	case 1:
		(void)fdset_add(fds, dup(client));
		return false;
	case 2:
		(void)fdset_add(fds, dup(listener));
		return false;
	case 3:
		(void)fdset_add(fds, fuzz_any_fd());
		return false;
	case 4:
		fuzz_expect(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
		(void)close(pair[1]);
		(void)fdset_add(fds, pair[0]);
		return false;
	case 5:
		(void)fdset_add(fds, dup(accepted));
		(void)fdset_add(fds, dup(accepted));
		return false;
	default:
		(void)fdset_add(fds, dup(accepted));
		return true;
	}
}

/* Makes parts of a packet right that chance would hardly find. */
static void mend(char *packet, size_t size, unsigned flags)
{
	struct opener_request header;
	char *labels = packet + sizeof(header);
	size_t count;

	if (size < sizeof(header))
		return;
	memcpy(&header, packet, sizeof(header));
	count = (size - sizeof(header)) / OPENER_LABEL_SIZE;
	if (flags & 1) {
		header.version = OPENER_WIRE_VERSION;
		header.count = (uint32_t)count;
	}
	if (flags & 8)
		header.operation = OPENER_OPEN + header.operation % OPENER_LIST;
	memcpy(packet, &header, sizeof(header));

	for (size_t i = 0; i < count; i++) {
		char *label = labels + i * OPENER_LABEL_SIZE;
		size_t length;

		if (flags & 2) {
			const char *name = files[(unsigned char)label[0] % ELEMENTSOF(files)].name;

			memset(label, 0, OPENER_LABEL_SIZE);
			memcpy(label, name, strlen(name));
		} else if (flags & 4) {
			label[OPENER_LABEL_SIZE - 1] = '\0';
			length = strlen(label);
			memset(label + length, 0, OPENER_LABEL_SIZE - length);
		}
	}
}

/* Is this what the label stands for? */
static void check_fd(const char *label, int fd)
{
	struct stat is, should;
	char content;

	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		if (strcmp(files[i].name, label) != 0)
			continue;
		fuzz_expect(files[i].flags >= 0);
		fuzz_expect((fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND)) == files[i].flags);
		fuzz_expect(fcntl(fd, F_GETFD) == FD_CLOEXEC);
		fuzz_expect(fstat(fd, &is) == 0 && stat(path_of(label), &should) == 0);
		if (files[i].flags == O_RDONLY)
			fuzz_expect(read(fd, &content, 1) == 1 && content == files[i].content[0] &&
				    is.st_dev != should.st_dev);
		else
			fuzz_expect(is.st_dev == should.st_dev && is.st_ino == should.st_ino);
		return;
	}
	fuzz_fail(__FILE__, __LINE__, label);
}

static void check_list(const struct response *response)
{
	size_t strings = 0;

	for (size_t i = 0; i < response->header.text_size; i++)
		strings += response->text[i] == '\0';
	fuzz_expect(strings == (size_t)3 * response->header.count);
	for (size_t at = 0; at < response->header.text_size; at += strlen(response->text + at) + 1)
		fuzz_expect(strcmp(response->text + at, "theirs") != 0);
}

static void check(const struct opener_request *header, const char *labels, const struct response *response, bool may)
{
	fuzz_expect(response->header.version == OPENER_WIRE_VERSION && response->header.reserved == 0);
	fuzz_expect(response->header.text_size <= OPENER_TEXT_MAX);
	fuzz_expect(response->header.result != OPENER_OK || may);
	if (response->header.result != OPENER_OK || header->operation != OPENER_OPEN)
		fuzz_expect(response->fds.count == 0);
	if (response->header.result != OPENER_OK) {
		fuzz_expect(response->header.text_size > 0);
		return;
	}
	if (header->operation == OPENER_LIST)
		check_list(response);
	if (header->operation != OPENER_OPEN)
		return;
	fuzz_expect(response->header.count == header->count && response->fds.count == header->count);
	for (uint32_t i = 0; i < header->count; i++)
		check_fd(labels + (size_t)i * OPENER_LABEL_SIZE, response->fds.fds[i]);
}

static void serve(unsigned flags, unsigned kind, const uint8_t *data, size_t size)
{
	static struct response response;
	static struct request request;
	/* Of just the size, so that a sanitizer sees what is read beyond it; a header's bytes there always are. */
	char *packet = calloc(1, size < sizeof(struct opener_request) ? sizeof(struct opener_request) : size);
	struct opener_request header;
	struct fdset fds;
	bool may;

	fuzz_expect(packet);
	memcpy(packet, data, size);
	mend(packet, size, flags);
	memcpy(&header, packet, sizeof(header));
	if (flags & 0x40) {
		fdset_init(&fds);
		may = false;
		request_serve(&request, &service, packet, kind & 1 ? -EMFILE : -EBADMSG, &fds, &response);
	} else {
		may = add_fds(&fds, kind);
		request_serve(&request, &service, packet, (ssize_t)size, &fds, &response);
	}
	check(&header, packet + sizeof(header), &response, may);
	request_finish(&request);
	fuzz_expect(fds.count == 0 && response.fds.count == 0);
	/* Nobody has them open any more. */
	fuzz_expect(!copies_sweep(service.copies));
	free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!policy)
		open_all();
	while (size >= 4) {
		size_t room = MIN_OF(size - 4, REQUEST_SIZE_MAX);
		size_t length = MIN_OF((size_t)data[2] | (size_t)data[3] << 8, room);

		serve(data[0], data[1], data + 4, length);
		data += 4 + length;
		size -= 4 + length;
	}
	/* A client is known for a while. */
	while (clients_sweep(service.clients))
		;
	fuzz_check_fds();
	return 0;
}
