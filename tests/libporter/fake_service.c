/* SPDX-License-Identifier: MIT
 *
 * A service that does what its script says.
 */
#include "fake_service.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/macro.h"
#include "kernel/fdset.h"
#include "kernel/sockio.h"
#include "kernel/sockopt.h"

static int fail(struct fake_service *fake, size_t step, const char *what, const char *text)
{
	(void)snprintf(fake->failure, sizeof(fake->failure), "step %zu: %s %.400s", step, what, text);
	return -1;
}

#define REQUEST_MAX ((size_t)2 * 1024 * 1024)

static int expect_request(struct fake_service *fake, size_t step, int fd)
{
	_cleanup_free_ char *request = malloc(REQUEST_MAX);
	const char *expected = fake->steps[step].expect;
	size_t used = 0;

	if (!request)
		abort();
	/* A byte at a time: what follows the NUL belongs to the next step. */
	for (; used < REQUEST_MAX; used++) {
		ssize_t r = sockio_receive(fd, request + used, 1, 0);

		if (r <= 0)
			return fail(fake, step, "no request, but", r == 0 ? "the end" : strerror((int)-r));
		if (request[used] == '\0')
			break;
	}
	if (used == REQUEST_MAX)
		return fail(fake, step, "request without end", "");
	return strcmp(request, expected) == 0 ? 0 : fail(fake, step, "unexpected request", request);
}

static void add_fd(struct fdset *set, size_t number)
{
	char letter = (char)('a' + number % 26);
	int fd = memfd_create("passed", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, &letter, 1, 0) != 1)
		abort();
	(void)fdset_add(set, fd);
}

static int send_chunk(struct fake_service *fake, size_t number, int fd)
{
	const struct fake_step *step = &fake->steps[number];
	struct iovec part = { (void *)(uintptr_t)step->send, step->size ? step->size : strlen(step->send) + 1 };
	_cleanup_(fdset_clear) struct fdset fds;
	size_t n_fds = step->n_fds;

	fdset_init(&fds);
	for (size_t i = 0; i < step->n_fds; i++)
		add_fd(&fds, i);
	(void)usleep(step->delay_ms * 1000);

	while (part.iov_len > 0) {
		ssize_t sent = sockio_send_fds(fd, &part, 1, fds.fds, n_fds, 0);

		if (sent == -EINTR)
			continue;
		/* A client that hung up has its reasons: its test looks at them. */
		if (sent == -EPIPE || sent == -ECONNRESET)
			return -1;
		if (sent < 0)
			return fail(fake, number, "can't send:", strerror((int)-sent));
		part.iov_base = (char *)part.iov_base + sent;
		part.iov_len -= (size_t)sent;
		n_fds = 0;
	}

	while (sockopt_unread(fd) > 0)
		(void)usleep(200);
	return 0;
}

static void *fake_run(void *argument)
{
	struct fake_service *fake = argument;
	_cleanup_close_ int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		abort();
	for (size_t i = 0; i < fake->n_steps; i++) {
		if (fake->steps[i].expect && expect_request(fake, i, fd) < 0)
			break;
		if (fake->steps[i].send && send_chunk(fake, i, fd) < 0)
			break;
	}
	return NULL;
}

void fake_start(struct fake_service *fake, const struct fake_step *steps, size_t n_steps)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length;

	*fake = (struct fake_service){ .steps = steps, .n_steps = n_steps };
	length = snprintf(fake->address, sizeof(fake->address), "@porterd-test-%d-%p", getpid(), (void *)fake);
	memcpy(address.sun_path + 1, fake->address + 1, (size_t)length - 1);

	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fake->listener < 0 ||
	    bind(fake->listener, (const struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)) < 0 ||
	    listen(fake->listener, 1) < 0 || pthread_create(&fake->thread, NULL, fake_run, fake) != 0)
		abort();
}

const char *fake_finish(struct fake_service *fake)
{
	if (pthread_join(fake->thread, NULL) != 0)
		abort();
	fd_close(fake->listener);
	return fake->failure;
}
