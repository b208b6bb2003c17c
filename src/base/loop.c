/* SPDX-License-Identifier: MIT
 *
 * A plain epoll loop with an sd-event loop nested in it.
 */
#include "base/loop.h"

#include <sys/epoll.h>

#include "base/clock.h"

/* How many events one round takes from the kernel, and how many of sd-event's it serves. Of 256 the first would wait
 * until the kernel has looked at all, which costs a thousand busy clients a percent of their rate; rounds of 8 cost
 * four. */
#define EVENTS_PER_ROUND 64
#define NESTED_PER_ROUND 16
/* The sources of events so far ahead are fetched from memory while others are served. */
#define AHEAD 4
#define OWNER_SIZE 192

static void nested_ready(struct loop_source *source, uint32_t events)
{
	struct loop *loop = CONTAINER_OF(source, struct loop, nested);

	(void)events;
	loop->event_pending = true;
}

static int on_nothing(sd_event_source *source, void *data)
{
	(void)source;
	(void)data;
	return 0;
}

/* As long as nothing is watched yet: lets sd-event make its list of what has happened. It would do so when something
 * has, and what it has read of a signal by then is lost if it can't. */
static int warm_up(sd_event *event)
{
	sd_event_source *source = NULL;
	int r = sd_event_add_defer(event, &source, on_nothing, NULL);

	if (r >= 0)
		r = sd_event_run(event, 0);
	sd_event_source_unref(source);
	return r;
}

int loop_open(struct loop *loop)
{
	_cleanup_close_ int fd = epoll_create1(EPOLL_CLOEXEC);
	int r;

	*loop = (struct loop){ .epoll_fd = -EBADF };
	if (fd < 0)
		return -errno;

	r = sd_event_new(&loop->event);
	if (r >= 0)
		r = warm_up(loop->event);
	if (r < 0)
		return r;

	loop->epoll_fd = TAKE_FD(fd);
	loop->nested.fd = sd_event_get_fd(loop->event);
	loop->nested.ready = nested_ready;
	loop->event_pending = true;
	return loop_add(loop, &loop->nested, EPOLLIN);
}

static void destroy_retired(struct loop *loop)
{
	while (loop->retired) {
		struct loop_source *source = loop->retired;

		loop->retired = source->retired_next;
		source->destroy(source);
	}
}

void loop_close(struct loop *loop)
{
	destroy_retired(loop);
	sd_event_unref(loop->event);
	fd_close(loop->epoll_fd);
	*loop = (struct loop){ .epoll_fd = -EBADF };
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

int loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}

void loop_retire(struct loop *loop, struct loop_source *source, void (*destroy)(struct loop_source *source))
{
	source->ready = NULL;
	source->destroy = destroy;
	source->retired_next = loop->retired;
	loop->retired = source;
}

static int run_nested(struct loop *loop)
{
	loop->event_pending = false;

	for (unsigned i = 0; i < NESTED_PER_ROUND; i++) {
		int r = sd_event_run(loop->event, 0);

		if (r <= 0)
			return r;
	}
	return 0;
}

/* Sleeping and being woken takes longer than many an answer's next question. */
static int wait_busily(const struct loop *loop, struct epoll_event *events)
{
	uint64_t end = clock_now_usec() + loop->busy_poll_usec;
	int count;

	do
		count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, 0);
	while (count == 0 && clock_now_usec() < end);
	return count;
}

/* With what its owner has behind it. */
static void fetch(const struct loop_source *source)
{
	for (size_t at = 0; at < OWNER_SIZE; at += 64)
		__builtin_prefetch((const char *)source + at);
}

static int wait_for_events(const struct loop *loop, struct epoll_event *events)
{
	int count = loop->busy_poll_usec > 0 ? wait_busily(loop, events) : 0;

	return count != 0 ? count : epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, -1);
}

int loop_timer_new(sd_event *event, sd_event_source **ret, sd_event_time_handler_t handler, void *userdata)
{
	/* An accuracy of 0 would be the default of 250 ms. */
	int r = sd_event_add_time(event, ret, CLOCK_MONOTONIC, UINT64_MAX, USEC_PER_MSEC, handler, userdata);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

void loop_timer_arm(sd_event_source *timer, uint64_t usec)
{
	if (sd_event_source_set_time(timer, clock_now_usec() + usec) >= 0)
		(void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

bool loop_timer_is_armed(sd_event_source *timer)
{
	int enabled = SD_EVENT_OFF;

	return sd_event_source_get_enabled(timer, &enabled) >= 0 && enabled != SD_EVENT_OFF;
}

void loop_arm(struct loop *loop, sd_event_source *timer, uint64_t usec)
{
	loop_timer_arm(timer, usec);
	loop_event_changed(loop);
}

static void end_round(struct loop *loop, void (*between)(void *userdata), void *userdata)
{
	destroy_retired(loop);
	if (between)
		between(userdata);
}

int loop_run(struct loop *loop, void (*between)(void *userdata), void *userdata)
{
	while (!loop->finished) {
		struct epoll_event events[EVENTS_PER_ROUND];
		int count, r;

		/* Also before waiting: what `between` or a callback has set must be armed by then. */
		if (loop->event_pending) {
			r = run_nested(loop);
			if (r < 0)
				return r;
			end_round(loop, between, userdata);
			continue;
		}

		count = wait_for_events(loop, events);
		if (count < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}

		for (int i = 0; i < count; i++) {
			struct loop_source *source = events[i].data.ptr;

			/* Of many thousands none is in the cache any more. */
			if (i + AHEAD < count)
				fetch(events[i + AHEAD].data.ptr);
			/* Retired by an event before it in the same round. */
			if (source->ready)
				source->ready(source, events[i].events);
		}
		end_round(loop, between, userdata);
	}
	return 0;
}
