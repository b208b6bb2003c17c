/* SPDX-License-Identifier: MIT
 *
 * Exchanges on connections: one message goes out on each, then an answer comes back on each. With one connection
 * this is ping-pong; with many the server always finds some that are ready.
 */
#include <string.h>
#include <sys/uio.h>

#include "base/macro.h"
#include "bench/load_call.h"
#include "bench/side.h"

#define MESSAGE_MAX ((size_t)64 * 1024)

struct streams {
	uint64_t *sent_nsec;
	uint64_t *serials; /* what the answer on each connection must hold */
	char message[MESSAGE_MAX], answer[MESSAGE_MAX];
};

/* Each message is different, so an answer that is late, or somebody else's, does not match. */
static int send_one(struct side *side, struct streams *streams, size_t i)
{
	if (side->reply_size > 0)
		return side_send_all(side->fds[i], side->request, side->request_size);
	streams->serials[i] = ++side->serial;
	memcpy(streams->message, &streams->serials[i], sizeof(uint64_t));
	return side_send_all(side->fds[i], streams->message, side->shape->size);
}

static int receive_one(struct side *side, struct streams *streams, size_t i)
{
	const char *expected = side->reply_size > 0 ? side->reply : streams->message;
	size_t size = side->reply_size > 0 ? side->reply_size : side->shape->size;
	int r = side_receive_all(side->fds[i], streams->answer, size);

	if (r < 0)
		return r;
	if (side->reply_size == 0)
		memcpy(streams->message, &streams->serials[i], sizeof(uint64_t));
	return memcmp(streams->answer, expected, size) == 0 ? 0 : -EBADMSG;
}

static int streams_run(struct side *side, uint64_t until, struct sample *sample)
{
	struct streams *streams = side->state;

	do {
		for (size_t i = 0; i < side->n_fds; i++) {
			int r;

			streams->sent_nsec[i] = now_nsec();
			r = send_one(side, streams, i);
			if (r < 0)
				return r;
		}
		for (size_t i = 0; i < side->n_fds; i++) {
			int r = receive_one(side, streams, i);

			if (r < 0)
				return r;
			histogram_add(sample->latencies, now_nsec() - streams->sent_nsec[i]);
		}
		sample->operations += side->n_fds;
		sample->bytes += side->n_fds * side->shape->size;
	} while (now_nsec() < until);
	return 0;
}

static int streams_open(struct side *side)
{
	struct streams *streams = calloc(1, sizeof(*streams));
	size_t count = side->shape->streams;
	int r;

	side->state = streams;
	if (!streams)
		return -ENOMEM;
	streams->sent_nsec = calloc(count, sizeof(uint64_t));
	streams->serials = calloc(count, sizeof(uint64_t));
	r = side_make_fds(side, count);
	if (r < 0 || !streams->sent_nsec || !streams->serials)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(streams->message); i++)
		streams->message[i] = (char)(i * 7 + i / 251);

	if (side->fd >= 0) {
		side->fds[0] = TAKE_FD(side->fd);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		side->fds[i] = side_connect(side, side->type);
		if (side->fds[i] < 0)
			return side->fds[i];
	}
	return 0;
}

const struct load load_streams = { streams_open, streams_run };

/* Is it what Credentials.Get says of this process? */
static int check_identity(const struct side *side)
{
	char uid[32], pid[32];

	(void)snprintf(uid, sizeof(uid), "\"uid\":%u,", (unsigned)geteuid());
	(void)snprintf(pid, sizeof(pid), "\"pid\":%d,", (int)getpid());
	return strstr(side->reply, uid) && strstr(side->reply, pid) ? 0 : -EBADMSG;
}

static int get_open(struct side *side)
{
	int r = streams_open(side);

	if (r < 0)
		return r;
	load_call_set(side, "{\"method\":\"io.porterd.Credentials.Get\"}");
	/* The bare loop sends porterd's reply, which is known. */
	if (side->reply_size > 0)
		return 0;
	r = load_call_learn(side, NULL);
	return r < 0 ? r : check_identity(side);
}

const struct load load_get = { get_open, streams_run };
