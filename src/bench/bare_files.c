/* SPDX-License-Identifier: MIT
 *
 * The shortest way of a file: one process asks another one, which opens it; the descriptor comes back by
 * SCM_RIGHTS, and by SCM_RIGHTS it goes on to the client. Nobody is identified, nothing is decided or recorded.
 */
#include <fcntl.h>

#include "base/macro.h"
#include "bench/bare_pair.h"
#include "bench/side.h"

/* Opens what is asked for by number. */
static int serve_back(void *data)
{
	const struct bare_pair *pair = data;
	char paths[WORLD_FILES][160];

	for (unsigned i = 0; i < WORLD_FILES; i++)
		(void)snprintf(paths[i], sizeof(paths[i]), "%s/files/%u", pair->side->world->directory, i);
	(void)close(pair->ends[0]);
	for (;;) {
		unsigned number;
		int fd;

		if (recv(pair->ends[1], &number, sizeof(number), 0) != sizeof(number) || number >= WORLD_FILES)
			return 0;
		fd = open(paths[number], O_RDWR | O_CLOEXEC);
		if (fd < 0 || bare_send_fd(pair->ends[1], &number, sizeof(number), fd) < 0)
			return -errno;
		(void)close(fd);
	}
}

static int serve_front(void *data)
{
	const struct bare_pair *pair = data;
	char request[EXCHANGE_MAX];
	int client;

	(void)close(pair->ends[1]);
	client = accept4(pair->client, NULL, NULL, SOCK_CLOEXEC);
	while (client >= 0) {
		ssize_t size = recv(client, request, sizeof(request), 0);
		unsigned number = 0;
		int fd;

		if (size <= 0)
			break;
		if (send(pair->ends[0], &number, sizeof(number), MSG_NOSIGNAL) < 0)
			break;
		fd = bare_receive_fd(pair->ends[0], request, sizeof(request));
		if (fd < 0 || bare_send_fd(client, pair->side->reply, pair->side->reply_size, fd) < 0)
			break;
		(void)close(fd);
	}
	return 0;
}

int side_start_bare_files(struct side *side)
{
	return bare_pair_start(side, serve_front, serve_back);
}
