/* SPDX-License-Identifier: MIT
 *
 * Listening sockets, and sockets that take datagrams.
 */
#include "serve/listener.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "kernel/sockopt.h"
#include "serve/answers.h"
#include "serve/connection.h"

static void accept_one(struct loop_source *source, uint32_t events)
{
	struct listener *listener = CONTAINER_OF(source, struct listener, source);
	struct population *population = listener->population;
	int fd, r;

	/* One accept a wake-up: the last of a loop would only learn that there is no more. */
	(void)events;
	fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		/* These are about nobody, or one client that is gone already. Anything else would be the same at
		 * the next event, which would come at once. */
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			population_shortage(population, errno);
		return;
	}

	r = connection_add(population, listener->protocol, fd);
	if (r < 0)
		population_shortage(population, -r);
	population_changed(population);
}

static void take_datagrams(struct loop_source *source, uint32_t events)
{
	struct listener *listener = CONTAINER_OF(source, struct listener, source);

	(void)events;
	listener->population->active = true;
	listener->protocol->datagrams(listener);
}

bool listener_accepts(const struct listener *listener)
{
	return !listener->protocol->datagrams;
}

/* A client wakes one of several processes, not all. */
static int watch_listener(struct listener *listener)
{
	bool shared = listener->population->crowded && listener_accepts(listener);

	return loop_add(listener->population->loop, &listener->source,
			EPOLLIN | (shared ? (uint32_t)EPOLLEXCLUSIVE : 0));
}

int listener_add(struct population *population, const struct protocol *protocol, int fd)
{
	_cleanup_close_ int owned = fd;
	struct listener *listener;
	int flags, r;

	/* A client may leave between epoll's word and accept(). */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;

	/* No service takes fds. Where the kernel can refuse them, accepted sockets inherit that; elsewhere it
	 * drops them when a message is received without room for them. */
	(void)sockopt_refuse_rights(fd);
	protocol_prepare(protocol, fd);

	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	listener->population = population;
	listener->protocol = protocol;
	listener->source.fd = TAKE_FD(owned);
	listener->source.ready = protocol->datagrams ? take_datagrams : accept_one;
	list_prepend(&population->listeners, &listener->link);

	r = protocol->datagrams ? answers_new(&listener->answers, population, listener->source.fd) : 0;
	if (r >= 0)
		r = watch_listener(listener);
	if (r < 0)
		listener_free(listener);
	return r;
}

void listener_free(struct listener *listener)
{
	if (!listener)
		return;
	list_remove(&listener->population->listeners, &listener->link);
	answers_free(listener->answers);
	fd_close(listener->source.fd);
	free(listener);
}

void listener_pause(struct listener *listener)
{
	if (!listener->paused)
		loop_remove(listener->population->loop, &listener->source);
	listener->paused = true;
}

void listener_resume(struct listener *listener)
{
	int r;

	if (!listener->paused)
		return;
	r = watch_listener(listener);
	if (r >= 0)
		listener->paused = false;
	else
		population_shortage(listener->population, -r);
}

void listener_failed(struct listener *listener, int error)
{
	if (!error_is_shortage(error))
		return;
	listener_pause(listener);
	population_shortage(listener->population, -error);
}

void listeners_of_connections(struct population *population, void (*function)(struct listener *listener))
{
	LIST_FOR_EACH(&population->listeners, struct listener, listener, link)
		if (listener_accepts(listener))
			function(listener);
}
