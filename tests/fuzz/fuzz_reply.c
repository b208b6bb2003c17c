/* SPDX-License-Identifier: MIT
 *
 * libporter's side: what a service answers. The first byte says which call is made, and with how many descriptors the
 * answer comes (0, 1, 2 or 253); in pieces they come with the first one, or, by its highest bit, with another.
 */
#include <sys/socket.h>

#include "kernel/sockio.h"
#include "libporter/connection.h"
#include "tests/fuzz/fuzz.h"

#define CALLS 7
#define MANY 2
#define TEXT_MAX 65536
/* A packet that is larger than what is left of libporter's first buffer would be cut. */
#define PIECES_MAX 4000

/* All that a call told its caller. */
struct outcome {
	int r;
	size_t n_fds;
	char text[TEXT_MAX];
	size_t size;
};

static void note(struct outcome *outcome, const char *text)
{
	size_t size = MIN_OF(strlen(text ? text : "-") + 1, TEXT_MAX - outcome->size);

	memcpy(outcome->text + outcome->size, text ? text : "-", size);
	outcome->size += size;
}

static void take_fds(struct outcome *outcome, const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fuzz_expect(fds[i] >= 0);
		(void)close(fds[i]);
		outcome->n_fds++;
	}
}

static void list(struct porter *porter, struct outcome *outcome)
{
	struct porter_file **files = NULL;

	outcome->r = porter_list(porter, &files);
	for (size_t i = 0; outcome->r == 0 && files[i]; i++) {
		note(outcome, files[i]->name);
		note(outcome, files[i]->description);
		note(outcome, files[i]->access);
	}
	porter_files_free(files);
}

static void whoami(struct porter *porter, struct outcome *outcome)
{
	struct porter_credentials *credentials = NULL;

	outcome->r = porter_whoami(porter, &credentials);
	if (outcome->r == 0) {
		note(outcome, credentials->unit);
		note(outcome, credentials->invocation_id);
		note(outcome, credentials->security_label);
		for (size_t i = 0; i < credentials->n_groups; i++)
			note(outcome, credentials->groups[i] ? "group" : "root");
	}
	porter_credentials_free(credentials);
}

static void check_credentials(struct porter *porter, struct outcome *outcome)
{
	static const char *const users[] = { "root", NULL };
	char **failed = NULL;
	bool satisfied = false;

	outcome->r = porter_check_credentials(porter, users, NULL, NULL, &satisfied, &failed);
	for (size_t i = 0; outcome->r == 0 && failed[i]; i++)
		note(outcome, failed[i]);
	porter_strings_free(failed);
}

static void check(struct porter *porter, struct outcome *outcome)
{
	char *reason = NULL;
	bool permitted = false;

	outcome->r = porter_check(porter, "one", &permitted, &reason);
	note(outcome, outcome->r == 0 ? reason : NULL);
	free(reason);
}

static void any(struct porter *porter, struct outcome *outcome, bool with_fds)
{
	int fds[FDSET_MAX];
	size_t n_fds = FDSET_MAX;
	char *reply = NULL;

	outcome->r = porter_call(porter, "a.b.C", NULL, &reply, with_fds ? fds : NULL, with_fds ? &n_fds : NULL);
	if (outcome->r == 0 && with_fds)
		take_fds(outcome, fds, n_fds);
	note(outcome, outcome->r == 0 ? reply : NULL);
	free(reply);
}

static void call(struct porter *porter, unsigned which, struct outcome *outcome)
{
	static const char *const names[MANY] = { "one", "two" };
	int fds[MANY];

	switch (which) {
	case 0:
		outcome->r = porter_open(porter, "one", fds);
		if (outcome->r == 0)
			take_fds(outcome, fds, 1);
		return;
	case 1:
		outcome->r = porter_open_many(porter, names, MANY, fds);
		if (outcome->r == 0)
			take_fds(outcome, fds, MANY);
		return;
	case 2:
		check(porter, outcome);
		return;
	case 3:
		list(porter, outcome);
		return;
	case 4:
		whoami(porter, outcome);
		return;
	case 5:
		check_credentials(porter, outcome);
		return;
	default:
		any(porter, outcome, which == 6);
	}
}

static void send_answer(int fd, const uint8_t *data, size_t size, size_t n_fds, size_t pieces, bool late)
{
	int one = fuzz_any_fd(), fds[FDSET_MAX];
	struct fuzz_pieces cut;
	const uint8_t *piece;
	size_t n, count = 0;

	for (size_t i = 0; i < n_fds; i++)
		fds[i] = one;
	fuzz_pieces_init(&cut, data, size, pieces);
	while ((n = fuzz_pieces_next(&cut, &piece)) > 0) {
		struct iovec part = { (void *)(uintptr_t)piece, n };

		fuzz_expect(sockio_send_fds(fd, &part, 1, fds, count == (late ? 1 : 0) ? n_fds : 0, MSG_DONTWAIT) ==
			    (ssize_t)n);
		count++;
	}
	(void)close(one);
}

/* In pieces they are packets, which one receive does not join. */
static void converse(const uint8_t *data, size_t size, size_t pieces, struct outcome *outcome)
{
	static const size_t numbers[] = { 0, 1, 2, FDSET_MAX };
	unsigned choice = data[0] & 0x7fU;
	struct porter *porter = calloc(1, sizeof(*porter));
	int pair[2];

	fuzz_expect(porter);
	outcome->r = 0;
	outcome->n_fds = outcome->size = 0;
	fuzz_socketpair(pieces > 0 ? SOCK_SEQPACKET : SOCK_STREAM, pair);
	send_answer(pair[0], data + 1, size - 1, numbers[choice / (CALLS + 1) % ELEMENTSOF(numbers)], pieces,
		    pieces > 0 && (data[0] & 0x80U));
	(void)shutdown(pair[0], SHUT_WR);

	porter->fd = pair[1];
	call(porter, choice % (CALLS + 1), outcome);
	note(outcome, porter_error_name(porter));
	note(outcome, porter_error_reason(porter));
	note(outcome, porter_error_file(porter));
	note(outcome, porter_error_parameters(porter));
	/* An error of the service leaves the connection as it was, a broken promise does not. */
	fuzz_expect(outcome->r != -EBADMSG || porter->fd < 0);
	fuzz_expect(outcome->r != 0 || !porter_error_name(porter));
	/* Nor does an error bring descriptors. */
	fuzz_expect(!porter_error_name(porter) || choice < CALLS + 1 || size == 1 || (data[0] & 0x80U) ||
		    choice / (CALLS + 1) % ELEMENTSOF(numbers) == 0);
	porter_free(porter);
	(void)close(pair[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, cut;
	const uint8_t *end;

	if (size == 0)
		return 0;
	converse(data, size, 0, &whole);
	converse(data, size, size > PIECES_MAX ? 0 : 64, &cut);

	/* What follows the end of a message can be seen, or come too late; and descriptors that come late are wrong. */
	end = memchr(data + 1, '\0', size - 1);
	if (!(data[0] & 0x80U) && (!end || end == data + size - 1)) {
		fuzz_expect(whole.r == cut.r && whole.n_fds == cut.n_fds && whole.size == cut.size);
		fuzz_expect(memcmp(whole.text, cut.text, whole.size) == 0);
	}
	fuzz_check_fds();
	return 0;
}
