/* SPDX-License-Identifier: MIT
 *
 * Where porterd connects.
 */
#include "opener/serving/entrance.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "kernel/sockopt.h"
#include "record/message_id.h"

#define PAUSE_USEC (100 * USEC_PER_MSEC)

static void set_listening(struct entrance *entrance, bool listening)
{
	for (size_t i = 0; i < entrance->n_listeners; i++)
		(void)sd_event_source_set_enabled(entrance->listeners[i], listening ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* Lets new connections wait where they are, in the kernel's queue. Without, a queue that can't be emptied for want of
 * descriptors would wake the loop for ever. */
static void stop_listening(struct entrance *entrance, const char *why)
{
	struct request_service *service = entrance->service;

	set_listening(entrance, false);
	if (complaint_is_due(&service->repeating))
		record_event(service->recorder, LOG_WARNING, MESSAGE_ID_PAUSED, "New connections wait: %s", why);
}

void entrance_pause(struct entrance *entrance, int error)
{
	stop_listening(entrance, strerror(-error));
	loop_arm(entrance->loop, entrance->timer, PAUSE_USEC);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct entrance *entrance = data;

	(void)source;
	(void)usec;
	if (!entrance->resume(entrance))
		loop_arm(entrance->loop, entrance->timer, PAUSE_USEC);
	if (!entrance->closed && entrance->service->connections < entrance->connections_max)
		set_listening(entrance, true);
	return 0;
}

/* The socket's mode keeps others out. Whoever comes nevertheless does not come by a mistake of their own. */
static bool is_porterd(struct entrance *entrance, int fd)
{
	struct ucred credentials = { .uid = (uid_t)-1 };

	if (sockopt_peer_credentials(fd, &credentials) >= 0)
		for (size_t i = 0; i < entrance->n_users; i++)
			if (credentials.uid == entrance->users[i])
				return true;

	if (complaint_is_due(&entrance->service->repeating))
		record_message(entrance->service->recorder, LOG_WARNING, "A connection of uid %u, pid %d was closed: "
			       "only porterd may ask the opener", credentials.uid, credentials.pid);
	return false;
}

static int on_connection(sd_event_source *source, int listener, uint32_t events, void *data)
{
	struct entrance *entrance = data;
	_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	(void)source;
	(void)events;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			entrance_pause(entrance, -errno);
		return 0;
	}
	if (!is_porterd(entrance, fd))
		return 0;

	r = entrance->admit(entrance, TAKE_FD(fd));
	if (r < 0) {
		entrance_pause(entrance, r);
		return 0;
	}
	if (++entrance->service->connections == entrance->connections_max)
		stop_listening(entrance, "there are as many as may be");
	return 0;
}

void entrance_left(struct entrance *entrance)
{
	entrance->service->connections--;
	if (!entrance->closed && entrance->service->connections == entrance->connections_max - 1)
		set_listening(entrance, true);
}

int entrance_open(struct entrance *entrance)
{
	return loop_timer_new(entrance->loop->event, &entrance->timer, on_timer, entrance);
}

void entrance_close(struct entrance *entrance)
{
	entrance->closed = true;
	set_listening(entrance, false);
}

int entrance_add(struct entrance *entrance, int fd)
{
	sd_event_source *source = NULL;
	int r = entrance->n_listeners == ENTRANCE_LISTENERS_MAX
			? -ENOSPC
			: sd_event_add_io(entrance->loop->event, &source, fd, EPOLLIN, on_connection, entrance);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	(void)sd_event_source_set_io_fd_own(source, true);
	entrance->listeners[entrance->n_listeners++] = source;
	return 0;
}

void entrance_clear(struct entrance *entrance)
{
	for (size_t i = 0; i < entrance->n_listeners; i++)
		sd_event_source_disable_unref(entrance->listeners[i]);
	sd_event_source_disable_unref(entrance->timer);
}
