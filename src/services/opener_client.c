/* SPDX-License-Identifier: MIT
 *
 * The way to the opener.
 */
#include "services/opener_client.h"

#include <sys/epoll.h>
#include <sys/un.h>

#include "base/clock.h"
#include "kernel/sockio.h"
#include "record/message_id.h"
#include "record/record.h"

/* An opener that is started for a question answers within milliseconds; one that takes so long is stuck. */
#define PATIENCE_USEC (10 * USEC_PER_SEC)
/* Answers taken in a row. */
#define ANSWERS_PER_ROUND 64

struct opener_client {
	struct loop *loop;
	struct recorder *recorder;
	struct loop_source source; /* fd negative: not connected */
	struct sockaddr_un address;
	struct list calls; /* in the order of asking */
	struct opener_call *first_unsent; /* it and all after it wait for room in the connection */
	uint64_t serial;
	struct complaint absence;
	uint32_t events;
	/* One message each way at a time. */
	char labels[OPENER_FILES_MAX * OPENER_LABEL_SIZE];
	struct opener_packet {
		struct opener_reply reply;
		char text[OPENER_TEXT_MAX + 1];
	} packet;
};

static struct opener_call *call_of(struct list_link *link)
{
	return LIST_ENTRY(link, struct opener_call, link);
}

static struct opener_call *first_call(const struct opener_client *client)
{
	return call_of(client->calls.first);
}

static void unlink_call(struct opener_call *call)
{
	struct opener_client *client = call->client;

	if (client->first_unsent == call)
		client->first_unsent = call_of(call->link.next);
	list_remove(&client->calls, &call->link);
	call->client = NULL;
	free(TAKE_POINTER(call->labels));
}

void opener_call_cancel(struct opener_call *call)
{
	if (call->client)
		unlink_call(call);
}

bool opener_client_is_asked(const struct opener_client *client)
{
	return client->calls.first;
}

static void disconnect(struct opener_client *client)
{
	if (client->source.fd < 0)
		return;
	loop_remove(client->loop, &client->source);
	fd_close(TAKE_FD(client->source.fd));
}

static void complain(struct opener_client *client, const char *what, int error)
{
	if (!complaint_is_due(&client->absence))
		return;
	record_event(client->recorder, LOG_ERR, MESSAGE_ID_OPENER_LOST, "%s the opener at %s: %s", what,
		     client->address.sun_path, strerror(error));
}

/* The first question that was asked before, and, unless `all`, sent. */
static struct opener_call *find_doomed(struct opener_client *client, uint64_t serial, bool all)
{
	LIST_FOR_EACH(&client->calls, struct opener_call, call, link)
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
		(void)loop_change(client->loop, &client->source, events);
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
	r = loop_add(client->loop, &client->source, client->events);
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
	if (!opener_client_is_asked(client) || client->source.fd >= 0)
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

/* Names as on the wire. */
static void pack_labels(struct opener_client *client, const char *const *labels, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)strncpy(client->labels + i * OPENER_LABEL_SIZE, labels[i], OPENER_LABEL_SIZE);
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
			client->first_unsent = call_of(call->link.next);
			free(TAKE_POINTER(call->labels));
		}
	}
	watch(client, EPOLLIN);
}

static struct opener_call *find_call(struct opener_client *client, uint64_t serial)
{
	LIST_FOR_EACH(&client->calls, struct opener_call, call, link)
		if (call->sent && call->request.serial == serial)
			return call;
	return NULL;
}

/* One answer. Returns 0, -EAGAIN for none, or why the opener is lost. */
static int take_answer(struct opener_client *client)
{
	struct opener_packet *packet = &client->packet;
	struct opener_call *call;
	struct fdset fds;
	ssize_t size;

	packet->reply.serial = 0;
	size = sockio_receive_fds(client->source.fd, packet, sizeof(*packet) - 1, &fds, MSG_DONTWAIT);
	/* This process has no room for the descriptors of one answer: no fault of the opener's. */
	if (size == -EMFILE) {
		call = find_call(client, packet->reply.serial);
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
	if ((size_t)size < sizeof(packet->reply) || packet->reply.version != OPENER_WIRE_VERSION ||
	    (size_t)size != sizeof(packet->reply) + packet->reply.text_size) {
		fdset_clear(&fds);
		return -EBADMSG;
	}
	packet->text[packet->reply.text_size] = '\0';

	/* Whoever asked may have left; then nobody gets these. */
	call = find_call(client, packet->reply.serial);
	if (call) {
		unlink_call(call);
		call->done(call, &packet->reply, packet->text, &fds);
	}
	fdset_clear(&fds);
	return 0;
}

static void opener_ready(struct loop_source *source, uint32_t events)
{
	struct opener_client *client = CONTAINER_OF(source, struct opener_client, source);

	for (unsigned i = 0; i < ANSWERS_PER_ROUND && source->fd >= 0; i++) {
		int r;

		/* Without a question no more answers are to come; one to a question that was taken back waits. */
		if (i > 0 && (!opener_client_is_asked(client) || !first_call(client)->sent))
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

static int send_labels(struct opener_client *client, struct opener_call *call, const char *const *labels)
{
	pack_labels(client, labels, call->request.count);
	return send_call(client, call, client->labels);
}

/* Sends the question if there is room, after connecting anew where the opener was restarted. -EAGAIN: it has to
 * wait, as those do who asked before. */
static int send_or_reconnect(struct opener_client *client, struct opener_call *call, const char *const *labels)
{
	int r;

	if (client->source.fd >= 0 && !client->first_unsent) {
		r = send_labels(client, call, labels);
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
	return client->first_unsent ? -EAGAIN : send_labels(client, call, labels);
}

int opener_call_start(struct opener_call *call, struct opener_client *client, enum opener_operation operation,
		      const char *const *labels, size_t count, uint32_t cursor, int client_fd)
{
	int r;

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
		pack_labels(client, labels, count);
		memcpy(call->labels, client->labels, count * OPENER_LABEL_SIZE);
		watch(client, EPOLLIN | EPOLLOUT);
	} else if (r == -ETOOMANYREFS) {
		return -EBUSY;
	} else if (r < 0) {
		complain(client, "Can't reach", -r);
		disconnect(client);
		fail_calls(client, false);
		return r;
	}

	if (!call->sent && !client->first_unsent)
		client->first_unsent = call;
	call->since_usec = clock_now_usec();
	call->client = client;
	list_append(&client->calls, &call->link);
	return 0;
}

bool opener_client_tick(struct opener_client *client)
{
	if (opener_client_is_asked(client) && clock_now_usec() - first_call(client)->since_usec > PATIENCE_USEC) {
		/* Those who wait to be sent have waited for this opener as well. */
		complain(client, "No answer from", ETIMEDOUT);
		disconnect(client);
		fail_calls(client, true);
	}
	return opener_client_is_asked(client);
}

int opener_client_new(struct opener_client **ret, struct loop *loop, struct recorder *recorder, const char *path)
{
	struct opener_client *client;

	if (strlen(path) >= sizeof(client->address.sun_path))
		return -ENAMETOOLONG;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;

	client->loop = loop;
	client->recorder = recorder;
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
	while (opener_client_is_asked(client))
		unlink_call(first_call(client));
	disconnect(client);
	free(client);
}
