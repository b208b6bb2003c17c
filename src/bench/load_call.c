/* SPDX-License-Identifier: MIT
 *
 * Varlink calls that are always the same, and the files that some of them bring.
 */
#include "bench/load_call.h"

#include "base/macro.h"
#include "kernel/sockio.h"

void load_call_set(struct side *side, const char *request)
{
	side->request_size = MIN_OF(strlen(request) + 1, sizeof(side->request));
	memcpy(side->request, request, side->request_size);
}

int load_call_learn(struct side *side, struct fdset *fds)
{
	int r = side_send_all(side->fds[0], side->request, side->request_size);
	struct fdset none;

	if (r < 0)
		return r;
	fdset_init(fds ? fds : &none);
	side->reply_size = 0;
	while (side->reply_size == 0 || side->reply[side->reply_size - 1] != '\0') {
		size_t room = sizeof(side->reply) - side->reply_size;
		struct fdset came;
		ssize_t size;

		if (room == 0)
			return -EBADMSG;
		size = sockio_receive_fds(side->fds[0], side->reply + side->reply_size, room, &came, 0);
		if (size <= 0)
			return size == -EAGAIN ? -ETIMEDOUT : size == 0 ? -EPIPE : (int)size;
		side->reply_size += (size_t)size;
		for (size_t i = 0; fds && i < came.count; i++)
			(void)fdset_add(fds, TAKE_FD(came.fds[i]));
		came.count = fds ? 0 : came.count;
		fdset_clear(&came);
	}
	return strncmp(side->reply, "{\"parameters\":", strlen("{\"parameters\":")) == 0 ? 0 : -EBADMSG;
}

/* Files */

static int files_connect(struct side *side)
{
	int r = side_make_fds(side, 1);

	if (r < 0)
		return r;
	side->fds[0] = side_connect(side, SOCK_STREAM);
	return side->fds[0] < 0 ? side->fds[0] : 0;
}

static void set_request(struct side *side)
{
	char request[EXCHANGE_MAX];
	size_t size = 0;

	if (side->shape->files == 1) {
		load_call_set(side, "{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"bench-0\"}}");
		return;
	}
	size += (size_t)snprintf(request, sizeof(request),
				 "{\"method\":\"io.porterd.Files.OpenMany\",\"parameters\":{\"files\":[");
	for (unsigned i = 0; i < side->shape->files; i++)
		size += (size_t)snprintf(request + size, sizeof(request) - size, "%s\"bench-%u\"",
					 i > 0 ? "," : "", i);
	(void)snprintf(request + size, sizeof(request) - size, "]}}");
	load_call_set(side, request);
}

/* Is each of them the file that was asked for, in the order of the request? */
static int check_files(const struct side *side, const struct fdset *fds)
{
	if (fds->count != side->shape->files)
		return -EBADMSG;
	for (unsigned i = 0; i < fds->count; i++) {
		char expected[WORLD_FILE_CONTENT + 1], content[WORLD_FILE_CONTENT + 1] = "";

		world_file_content(i, expected);
		if (pread(fds->fds[i], content, WORLD_FILE_CONTENT, 0) != (ssize_t)strlen(expected) ||
		    strcmp(content, expected) != 0)
			return -EBADMSG;
	}
	return 0;
}

static int files_open(struct side *side)
{
	struct fdset fds;
	int r = files_connect(side);

	if (r < 0)
		return r;
	set_request(side);
	if (side->reply_size > 0)
		return 0;
	r = load_call_learn(side, &fds);
	if (r >= 0)
		r = check_files(side, &fds);
	fdset_clear(&fds);
	return r;
}

/* One call. That the client closes the descriptors is measured, too, on both sides alike. */
static int call_and_wait(struct side *side)
{
	static char reply[EXCHANGE_MAX];
	struct fdset fds;
	ssize_t size;
	int r = side_send_all(side->fds[0], side->request, side->request_size);

	if (r < 0)
		return r;
	size = sockio_receive_fds(side->fds[0], reply, side->reply_size, &fds, 0);
	if (size <= 0)
		return size == -EAGAIN ? -ETIMEDOUT : size == 0 ? -EPIPE : (int)size;
	/* A reply with descriptors comes in one piece, unless it is longer than a socket's buffer. */
	r = side_receive_all(side->fds[0], reply + size, side->reply_size - (size_t)size);
	if (r >= 0 && memcmp(reply, side->reply, side->reply_size) != 0)
		r = -EBADMSG;
	if (r >= 0)
		r = check_files(side, &fds);
	fdset_clear(&fds);
	return r;
}

static int files_run(struct side *side, uint64_t until, struct sample *sample)
{
	do {
		uint64_t begin = now_nsec();
		int r = call_and_wait(side);

		if (r < 0)
			return r;
		histogram_add(sample->latencies, now_nsec() - begin);
		sample->operations += side->shape->files;
	} while (now_nsec() < until);
	return 0;
}

const struct load load_files = { files_open, files_run };
