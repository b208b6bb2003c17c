/* SPDX-License-Identifier: MIT
 *
 * porterd's side of the opener.
 */
#include "porterd/opener_client.h"

#include <sys/epoll.h>
#include <sys/un.h>

#include "base/clock.h"
#include "kernel/sockio.h"
#include "porterd/connection.h"
#include "porterd/server.h"
#include "record/message_id.h"

/* An opener that is started for a question answers within milliseconds; one that takes so long is stuck. */
#define PATIENCE_USEC (10 * USEC_PER_SEC)
/* Answers taken in a row. */
#define ANSWERS_PER_ROUND 64

struct opener_client {
	struct server *server;
	struct loop_source source; /* fd negative: not connected */
	struct sockaddr_un address;
	struct opener_call *first, *last; /* in the order of asking */
	struct opener_call *first_unsent; /* it and all after it wait for room in the connection */
	uint64_t serial;
	struct complaint absence;
	uint32_t events;
};

static void unlink_call(struct opener_call *call)
{
	struct opener_client *client = call->client;

	if (call->previous)
		call->previous->next = call->next;
	else
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who is in the list has its client. */
		client->first = call->next;
	if (call->next)
		call->next->previous = call->previous;
	else
		client->last = call->previous;

	if (client->first_unsent == call)
		client->first_unsent = call->next;
	call->client = NULL;
	call->next = call->previous = NULL;
	if (call->connection)
		quota_give(call->connection, QUOTA_OPENS, call->quota);
	free(TAKE_POINTER(call->labels));
}

void opener_call_cancel(struct opener_call *call)
{
	if (call->client)
		unlink_call(call);
}

static void disconnect(struct opener_client *client)
{
	if (client->source.fd < 0)
		return;
	loop_remove(&client->server->loop, &client->source);
	fd_close(TAKE_FD(client->source.fd));
}

static void complain(struct opener_client *client, const char *what, int error)
{
	if (!complaint_is_due(&client->absence))
		return;
	record_begin(client->server->recorder, LOG_ERR, MESSAGE_ID_OPENER_LOST);
	record_format(client->server->recorder, "MESSAGE", "%s the opener at %s: %s", what,
		      client->address.sun_path, strerror(error));
	(void)record_submit(client->server->recorder);
}

/* The first question that was asked before, and, unless `all`, sent. */
static struct opener_call *find_doomed(struct opener_client *client, uint64_t serial, bool all)
{
	for (struct opener_call *call = client->first; call; call = call->next)
		if (call->request.serial <= serial && (all || call->sent))
			return call;
	return NULL;
}

/* The questions that were sent, or all of them, get the answer that there is none. Whoever is told may ask anew
 * at once, and may take others' questions back; so the list is looked at from its beginning each time. */
static void fail_calls(struct opener_client *client, bool all)
{
	uint64_t serial = client->serial;
	struct opener_call *call;

	while ((call = find_doomed(client, serial, all))) {
		unlink_call(call);
		call->done(call, NULL, NULL, NULL);
	}
}

static void watch(struct opener_client *client, uint32_t events)
{
	if (client->events != events)
		(void)loop_change(&client->server->loop, &client->source, events);
	client->events = events;
}

static void opener_ready(struct loop_source *source, uint32_t events);

static int connect_opener(struct opener_client *client)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	/* EAGAIN: its listen queue is full. There is no event for room in it, so this is a refusal. */
	if (connect(fd, (const struct sockaddr *)&client->address, sizeof(client->address)) < 0)
		return errno == EAGAIN ? -EBUSY : -errno;

	client->source.fd = fd;
	client->events = client->first_unsent ? EPOLLIN | EPOLLOUT : EPOLLIN;
	r = loop_add(&client->server->loop, &client->source, client->events);
	if (r < 0) {
		client->source.fd = -EBADF;
		return r;
	}
	(void)TAKE_FD(fd);
	return 0;
}

/* The opener went away with what was sent to it. What was not sent goes to the next one. */
static void lose(struct opener_client *client, const char *what, int error)
{
	complain(client, what, error);
	disconnect(client);
	fail_calls(client, false);
	if (!client->first || client->source.fd >= 0)
		return;

	error = -connect_opener(client);
	if (error <= 0)
		return;
	complain(client, "Can't reach", error);
	fail_calls(client, true);
}

/* An answer of our own: there is no room for the descriptors just now. */
static void answer_busy(struct opener_call *call)
{
	const struct opener_reply busy = { .operation = call->request.operation, .result = OPENER_BUSY };
	struct fdset none;

	fdset_init(&none);
	unlink_call(call);
	call->done(call, &busy, "", &none);
}

/* Names as on the wire; valid until anything else is done: whoever is told that the opener is lost may ask anew. */
static const char *pack(const char *const *labels, size_t count)
{
	static char packed[OPENER_FILES_MAX * OPENER_LABEL_SIZE];

	for (size_t i = 0; i < count; i++)
		(void)strncpy(packed + i * OPENER_LABEL_SIZE, labels[i], OPENER_LABEL_SIZE);
	return packed;
}

static int send_call(struct opener_client *client, struct opener_call *call, const char *labels)
{
	struct iovec parts[] = {
		{ &call->request, sizeof(call->request) },
		{ (void *)(uintptr_t)labels, (size_t)call->request.count * OPENER_LABEL_SIZE },
	};
	ssize_t sent = sockio_send_fds(client->source.fd, parts, ELEMENTSOF(parts), &call->client_fd, 1,
				       MSG_DONTWAIT);

	if (sent < 0)
		return (int)sent;
	call->sent = true;
	return 0;
}

/* Sends what found no room before. */
static void send_waiting(struct opener_client *client)
{
	struct opener_call *call;

	while ((call = client->first_unsent)) {
		int r = send_call(client, call, call->labels);

		if (r == -EAGAIN)
			return;
		if (r == -ETOOMANYREFS) {
			answer_busy(call);
			if (client->source.fd < 0)
				return;
		} else if (r < 0) {
			lose(client, "Can't send to", -r);
			return;
		} else {
			client->first_unsent = call->next;
			free(TAKE_POINTER(call->labels));
		}
	}
	watch(client, EPOLLIN);
}

static struct opener_call *find_call(struct opener_client *client, uint64_t serial)
{
	for (struct opener_call *call = client->first; call; call = call->next)
		if (call->sent && call->request.serial == serial)
			return call;
	return NULL;
}

/* One answer. Returns 0, -EAGAIN for none, or why the opener is lost. */
static int take_answer(struct opener_client *client)
{
	static struct {
		struct opener_reply reply;
		char text[OPENER_TEXT_MAX + 1];
	} packet;
	struct opener_call *call;
	struct fdset fds;
	ssize_t size;

	packet.reply.serial = 0;
	size = sockio_receive_fds(client->source.fd, &packet, sizeof(packet) - 1, &fds, MSG_DONTWAIT);
	/* This process has no room for the descriptors of one answer: no fault of the opener's. */
	if (size == -EMFILE) {
		call = find_call(client, packet.reply.serial);
		if (call)
			answer_busy(call);
		return 0;
	}
	if (size < 0)
		return (int)size;
	/* The end looks like an empty packet, and such a one can bring descriptors. */
	if (size == 0) {
		fdset_clear(&fds);
		return -ECONNRESET;
	}
	if ((size_t)size < sizeof(packet.reply) || packet.reply.version != OPENER_WIRE_VERSION ||
	    (size_t)size != sizeof(packet.reply) + packet.reply.text_size) {
		fdset_clear(&fds);
		return -EBADMSG;
	}
	packet.text[packet.reply.text_size] = '\0';

	/* Whoever asked may have left; then nobody gets these. */
	call = find_call(client, packet.reply.serial);
	if (call) {
		unlink_call(call);
		call->done(call, &packet.reply, packet.text, &fds);
	}
	fdset_clear(&fds);
	return 0;
}

static void opener_ready(struct loop_source *source, uint32_t events)
{
	struct opener_client *client = CONTAINER_OF(source, struct opener_client, source);

	client->server->active = true;
	for (unsigned i = 0; i < ANSWERS_PER_ROUND && source->fd >= 0; i++) {
		int r;

		/* Without a question no more answers are to come; one to a question that was taken back waits. */
		if (i > 0 && (!client->first || !client->first->sent))
			break;
		r = take_answer(client);

		if (r == -EAGAIN)
			break;
		if (r < 0) {
			lose(client, "Lost", -r);
			return;
		}
	}
	if (source->fd >= 0 && (events & EPOLLOUT))
		send_waiting(client);
}

/* Sends the question if there is room, after connecting anew where the opener was restarted. -EAGAIN: it has to
 * wait, as those do who asked before. */
static int send_or_reconnect(struct opener_client *client, struct opener_call *call, const char *const *labels)
{
	int r;

	if (client->source.fd >= 0 && !client->first_unsent) {
		r = send_call(client, call, pack(labels, call->request.count));
		/* ETOOMANYREFS: too many descriptors of this user are unread, by clients or by the opener. */
		if (r >= 0 || r == -EAGAIN || r == -ETOOMANYREFS)
			return r;
		/* Those who asked the old one get no answer of it any more. */
		disconnect(client);
		fail_calls(client, false);
	}

	/* One of them may have asked anew just now, and connected. */
	if (client->source.fd < 0) {
		r = connect_opener(client);
		if (r < 0)
			return r;
	}
	return client->first_unsent ? -EAGAIN : send_call(client, call, pack(labels, call->request.count));
}

int opener_call_start(struct opener_call *call, struct opener_client *client, enum opener_operation operation,
		      const char *const *labels, size_t count, uint32_t cursor, int client_fd)
{
	int r;

	/* Each file takes the opener's time, and others wait for it. Whoever may have less than one request's can have that
	 * one, and nothing beside it. */
	call->quota = MIN_OF(count > 0 ? count : 1, client->server->quota.limits[QUOTA_OPENS].user_max);
	if (call->connection && quota_check(call->connection, QUOTA_OPENS, call->quota) < 0)
		return -EBUSY;

	call->request = (struct opener_request){
		.version = OPENER_WIRE_VERSION,
		.operation = operation,
		.serial = ++client->serial,
		.count = (uint32_t)count,
		.cursor = cursor,
	};
	call->client_fd = client_fd;
	call->sent = false;

	r = send_or_reconnect(client, call, labels);
	if (r == -EAGAIN) {
		call->labels = malloc(count * OPENER_LABEL_SIZE + 1);
		if (!call->labels)
			return -ENOMEM;
		memcpy(call->labels, pack(labels, count), count * OPENER_LABEL_SIZE);
		watch(client, EPOLLIN | EPOLLOUT);
	} else if (r == -ETOOMANYREFS) {
		return -EBUSY;
	} else if (r < 0) {
		complain(client, "Can't reach", -r);
		disconnect(client);
		fail_calls(client, false);
		return r;
	}

	if (call->connection)
		quota_add(call->connection, QUOTA_OPENS, call->quota);
	if (!call->sent && !client->first_unsent)
		client->first_unsent = call;
	call->since_usec = clock_now_usec();
	call->client = client;
	call->next = NULL;
	call->previous = client->last;
	if (client->last)
		client->last->next = call;
	else
		client->first = call;
	client->last = call;
	return 0;
}

bool opener_client_is_asked(const struct opener_client *client)
{
	return client->first;
}

bool opener_client_tick(struct opener_client *client)
{
	if (client->first && clock_now_usec() - client->first->since_usec > PATIENCE_USEC) {
		/* Those who wait to be sent have waited for this opener as well. */
		complain(client, "No answer from", ETIMEDOUT);
		disconnect(client);
		fail_calls(client, true);
	}
	return opener_client_is_asked(client);
}

int opener_client_new(struct opener_client **ret, struct server *server, const char *path)
{
	struct opener_client *client;

	if (strlen(path) >= sizeof(client->address.sun_path))
		return -ENAMETOOLONG;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;

	client->server = server;
	client->source.fd = -EBADF;
	client->source.ready = opener_ready;
	client->address.sun_family = AF_UNIX;
	(void)stpcpy(client->address.sun_path, path);
	*ret = client;
	return 0;
}

void opener_client_free(struct opener_client *client)
{
	if (!client)
		return;
	while (client->first)
		unlink_call(client->first);
	disconnect(client);
	free(client);
}
