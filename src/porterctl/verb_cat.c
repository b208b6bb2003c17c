/* SPDX-License-Identifier: MIT
 *
 * porterctl cat: print a file.
 */
#include "base/write_all.h"
#include "porterctl/client.h"
#include "porterctl/failure.h"
#include "porterctl/stream.h"

static int copy(const char *file, int fd)
{
	static char buffer[64 * 1024];

	for (;;) {
		ssize_t size = stream_read(fd, buffer, sizeof(buffer));
		int r;

		if (size == 0)
			return EXIT_DONE;
		if (size < 0) {
			/* EBADF: the policy gives no read access. */
			failure_say("can't read %s: %s", file,
				    size == -EBADF ? "it is given for writing only" : strerror((int)-size));
			return EXIT_REFUSED;
		}

		r = write_all(STDOUT_FILENO, buffer, (size_t)size);
		if (r < 0) {
			failure_say("can't write to standard output: %s", strerror(-r));
			return EXIT_REFUSED;
		}
	}
}

int verb_cat(const struct invocation *invocation)
{
	_cleanup_porter_ struct porter *porter = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = client_connect(invocation, &porter);
	if (r != EXIT_DONE)
		return r;
	r = porter_open(porter, invocation->words[0], &fd);
	if (r < 0)
		return failure_call(invocation, porter, "open", invocation->words[0], r);

	/* A connection that nobody uses would keep the service from leaving when it is idle. */
	porter_free(TAKE_POINTER(porter));
	return copy(invocation->words[0], fd);
}
