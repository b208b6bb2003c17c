/* SPDX-License-Identifier: MIT
 *
 * varlink on streams: frames calls, runs them one after the other, and sends replies with their descriptors.
 * While a reply can't be sent, or a call is pending, nothing more is read: that bounds what a client can pile up.
 */
#include <sys/epoll.h>

#include "kernel/sockio.h"
#include "kernel/sockopt.h"
#include "serve/connection.h"
#include "serve/linger.h"
#include "services/caller.h"
#include "services/known.h"
#include "services/protocols.h"

/* Replies to pipelined calls are gathered up to about so many bytes. */
#define GATHER_MAX (64UL * 1024UL)

/* What a connection needs from its first byte on. Many a client connects long before it asks, or never does. */
struct varlink_stream {
	struct connection *connection;
	struct varlink_input input;
	struct varlink_output output;
	/* Descriptors of the one reply in the output that has some, and where it begins. */
	struct fdset *fds;
	size_t fds_at;
	struct varlink_call call;
	struct caller caller;
	struct known_text text; /* of the call that is being run: still in the input, as nothing is received meanwhile */
	struct known known;
};

static struct varlink_stream *stream_of(const struct connection *connection)
{
	return connection->late;
}

static struct unread *unread_of(const struct varlink_stream *stream)
{
	return &stream->connection->population->unread;
}

static void drop_fds(struct varlink_stream *stream)
{
	struct services *services = services_of(stream->connection->population);

	if (!stream->fds)
		return;
	fdset_clear(stream->fds);
	free(services->spare_fds);
	services->spare_fds = TAKE_POINTER(stream->fds);
}

static void varlink_stream_clear(struct connection *connection)
{
	struct varlink_stream *stream = stream_of(connection);

	if (!stream)
		return;
	varlink_call_abandon(&stream->call);
	caller_clear(&stream->caller);
	varlink_input_clear(&stream->input);
	varlink_output_clear(&stream->output);
	drop_fds(stream);
	known_clear(&stream->known);
}

/* The descriptors of the reply that begins there. One such reply at a time: the next call is run when this one has
 * left. */
static int queue_fds(struct varlink_stream *stream, size_t at, struct fdset *fds)
{
	struct services *services = services_of(stream->connection->population);

	stream->fds = services->spare_fds ? TAKE_POINTER(services->spare_fds) : malloc(sizeof(*stream->fds));
	if (!stream->fds)
		return -ENOMEM;
	fdset_move(stream->fds, fds);
	stream->fds_at = at;
	return 0;
}

static int queue_reply(struct varlink_call *call, json_t *reply, struct fdset *fds)
{
	struct varlink_stream *stream = CONTAINER_OF(call, struct varlink_stream, call);
	size_t at = stream->output.end;
	int r = varlink_output_add(&stream->output, reply, true);

	if (r >= 0 && call->steady)
		known_keep_reply(&stream->known, &stream->text, stream->output.data + at, stream->output.end - at);
	return r < 0 || !fds ? r : queue_fds(stream, at, fds);
}

static int queue_text(struct varlink_call *call, const char *text, size_t size, struct fdset *fds)
{
	struct varlink_stream *stream = CONTAINER_OF(call, struct varlink_stream, call);
	size_t at = stream->output.end;
	int r = varlink_output_copy(&stream->output, text, size);

	if (r >= 0)
		known_keep_call(&stream->known, &stream->text, &stream->call);
	return r < 0 || !fds ? r : queue_fds(stream, at, fds);
}

/* The kernel won't carry more unread descriptors of this process: says Busy in place of them. */
static int replace_by_busy(struct varlink_stream *stream)
{
	_cleanup_json_ json_t *busy = json_pack("{s:s}", "error", "io.porterd.Files.Busy");

	drop_fds(stream);
	stream->output.end = stream->fds_at;
	return busy ? varlink_output_add(&stream->output, busy, true) : -ENOMEM;
}

/* Sends the reply that has descriptors, or its first part: they travel with its first byte. */
static ssize_t send_with_fds(struct varlink_stream *stream)
{
	const struct varlink_output *output = &stream->output;
	int fd = stream->connection->source.fd;
	struct iovec part = { output->data + output->begin, output->end - output->begin };
	ssize_t sent;

	/* The kernel merges bytes without fds and bytes with fds into one read, and the client would take the fds
	 * for an earlier reply's. So everything earlier must have been read. Each read of the client is an edge. */
	if (!sockopt_all_read(fd)) {
		connection_watch(stream->connection, EPOLLOUT | EPOLLET);
		if (!sockopt_all_read(fd))
			return -EAGAIN;
	}

	sent = sockio_send_fds(fd, &part, 1, stream->fds->fds, stream->fds->count, MSG_DONTWAIT);
	/* Counted for each user: unread by all clients together. */
	if (sent == -ETOOMANYREFS)
		return replace_by_busy(stream);
	if (sent == -EAGAIN)
		connection_watch(stream->connection, EPOLLOUT);
	if (sent > 0) {
		unread_sent(unread_of(stream), &stream->connection->share);
		drop_fds(stream);
	}
	return sent;
}

/* Sends what has no descriptors, up to the reply that has some. */
static ssize_t send_plain(struct varlink_stream *stream)
{
	const struct varlink_output *output = &stream->output;
	size_t end = stream->fds ? stream->fds_at : output->end;
	ssize_t sent = sockio_send(stream->connection->source.fd, output->data + output->begin, end - output->begin,
				   MSG_DONTWAIT);

	if (sent == -EAGAIN)
		connection_watch(stream->connection, EPOLLOUT);
	return sent;
}

/* Sends as much as goes. 0: all is sent; -EAGAIN: the stream watches for its next chance; or why it is over. */
static int send_output(struct varlink_stream *stream)
{
	struct varlink_output *output = &stream->output;

	while (varlink_output_pending(output)) {
		bool with_fds = stream->fds && output->begin == stream->fds_at;
		ssize_t sent = with_fds ? send_with_fds(stream) : send_plain(stream);

		if (sent < 0)
			return (int)sent;
		varlink_output_sent(output, (size_t)sent);
	}
	if (!stream->call.pending)
		unread_settle(unread_of(stream), &stream->connection->share);
	return 0;
}

static int run_call(struct varlink_stream *stream)
{
	const struct varlink_known *known;
	const char *reply;
	size_t size;

	reply = known_find_reply(&stream->known, &stream->text, &size);
	if (reply)
		return varlink_output_copy(&stream->output, reply, size);
	known = known_find_call(&stream->known, &stream->text);
	if (known)
		return varlink_dispatch_known(&stream->call, known);
	return varlink_dispatch(&stream->call, stream->text.data, stream->text.size);
}

/* Runs the calls that are there. 0: no whole one is left, or one is pending; 1: replies are to be sent before the
 * next; or why the connection is to be closed. */
static int run_calls(struct varlink_stream *stream)
{
	struct population *population = stream->connection->population;

	while (!stream->call.pending && !population->frozen) {
		int r;

		if (stream->fds || stream->output.end - stream->output.begin >= GATHER_MAX)
			return 1;

		r = varlink_input_next(&stream->input, &stream->text.data, &stream->text.size);
		if (r == 0)
			return 0;
		if (r > 0) {
			patience_end(&population->patience, &stream->connection->patience);
			population->counts.of[COUNT_REQUESTS]++;
			r = run_call(stream);
		}
		if (r == -EBADMSG || r == -EMSGSIZE)
			population->counts.of[COUNT_MALFORMED]++;
		if (r < 0)
			return r;
	}
	return 0;
}

/* 1: something came; 0: the end; -EAGAIN; or why the connection is over. */
static int receive_input(struct varlink_stream *stream)
{
	size_t room;
	void *data = varlink_input_room(&stream->input, &room);
	ssize_t received;

	if (!data)
		return -ENOMEM;
	received = sockio_receive(stream->connection->source.fd, data, room, MSG_DONTWAIT);
	varlink_input_received(&stream->input, received > 0 ? (size_t)received : 0);
	return received > 0 ? 1 : (int)received;
}

/* Runs the stream as far as it goes. `received`: not to receive any more this time. 0: it waits for something that it
 * watches; otherwise it is over. */
static int run_stream(struct varlink_stream *stream, bool received)
{
	for (;;) {
		/* What was answered before a malformed message is still sent. */
		int run = run_calls(stream);
		int r = send_output(stream);

		if (run < 0)
			return run;
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		/* Hardly anybody goes on before the answer: varlink_stream_ready() sees to those who do. While connections
		 * are handed over an end is all that is told: EPOLLHUP can't be masked. */
		if (stream->call.pending || stream->connection->population->frozen) {
			connection_watch(stream->connection, stream->connection->population->frozen ? 0 : EPOLLIN);
			return 0;
		}
		if (run > 0)
			continue;
		if (received) {
			connection_watch(stream->connection, EPOLLIN);
			return 0;
		}

		r = receive_input(stream);
		if (r == -EAGAIN) {
			connection_watch(stream->connection, EPOLLIN);
			return 0;
		}
		if (r < 0 && connection_pause(stream->connection, r))
			return 0;
		if (r <= 0)
			return r < 0 ? r : -ECONNRESET;
		received = true;
	}
}

/* What is kept for the client until it goes on: so many bytes, and for half a message only so long. */
static int account_waiting(struct varlink_stream *stream)
{
	struct connection *connection = stream->connection;

	if (connection->events == EPOLLIN && !stream->call.pending && varlink_input_pending(&stream->input))
		patience_begin(&connection->population->patience, &connection->patience, PATIENCE_MESSAGE,
			       connection->source.fd);
	return connection_hold_bytes(connection, stream->input.capacity + stream->output.capacity);
}

static void enter_stream(struct varlink_stream *stream, bool received)
{
	if (run_stream(stream, received) < 0 || account_waiting(stream) < 0)
		connection_close(stream->connection);
}

static void resume_stream(struct caller *caller, int result)
{
	struct varlink_stream *stream = CONTAINER_OF(caller, struct varlink_stream, caller);

	if (result < 0)
		connection_close(stream->connection);
	else
		/* Nobody can have gone on already who waited for the reply, and others are heard at the next event. */
		enter_stream(stream, true);
}

/* Is it as if nothing had been said yet? */
static bool is_silent(const struct varlink_stream *stream)
{
	return !stream->call.pending && stream->caller.identity.known == 0 &&
	       !varlink_input_pending(&stream->input) && !varlink_output_pending(&stream->output);
}

static struct varlink_stream *stream_new(struct connection *connection)
{
	struct varlink_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->connection = connection;
	caller_init(&stream->caller, connection->population, &connection->share);
	stream->caller.resume = resume_stream;
	stream->call.service = &porterd_service;
	stream->call.reply = queue_reply;
	stream->call.reply_text = queue_text;
	stream->call.caller = &stream->caller;
	return stream;
}

static void varlink_stream_ready(struct connection *connection, uint32_t events)
{
	struct varlink_stream *stream = stream_of(connection);

	if (!stream)
		stream = connection->late = stream_new(connection);
	if (!stream) {
		(void)connection_pause(connection, -ENOMEM);
		return;
	}

	/* A client that left while its call was pending gets no reply, and nothing else can happen here. */
	if (stream->call.pending) {
		if (events & (EPOLLHUP | EPOLLERR))
			connection_close(connection);
		else
			/* It waits with what it sent. An end is still told: EPOLLHUP can't be masked. */
			connection_watch(connection, 0);
		return;
	}
	enter_stream(stream, false);
	if (!connection->closed && is_silent(stream)) {
		varlink_stream_clear(connection);
		free(TAKE_POINTER(connection->late));
		(void)connection_hold_bytes(connection, 0);
	}
}

/* A call whose answer did not begin to leave is kept as if it had not been read: descriptors can't be written down, and
 * the opener is asked again. It is still in the input, because nothing was received since. */
static int varlink_stream_save(struct connection *connection, struct leftovers *left)
{
	const struct varlink_stream *stream = stream_of(connection);
	const char *end;

	if (!stream)
		return 0;
	if (varlink_output_pending(&stream->output)) {
		left->has_unsent = true;
		left->unsent = stream->output.data + stream->output.begin;
		left->unsent_size = (stream->fds ? stream->fds_at : stream->output.end) - stream->output.begin;
	}
	if (!stream->input.data)
		return 0;
	end = stream->input.data + stream->input.end;
	left->unread = stream->input.data + stream->input.begin;
	if (stream->call.pending || stream->fds)
		left->unread = stream->text.data;
	left->unread_size = (size_t)(end - left->unread);
	return 0;
}

static int varlink_stream_restore(struct connection *connection, const struct leftovers *left)
{
	struct varlink_stream *stream;

	if (left->unsent_size == 0 && left->unread_size == 0)
		return 0;
	if (left->unsent_size > QUOTA_USER_BYTES)
		return -EBADMSG;
	stream = connection->late = stream_new(connection);
	if (!stream || (left->unsent_size > 0 &&
			varlink_output_copy(&stream->output, left->unsent, left->unsent_size) < 0))
		return -ENOMEM;

	return varlink_input_add(&stream->input, left->unread, left->unread_size);
}

const struct protocol varlink_stream_protocol = {
	.name = "varlink",
	.type = SOCK_STREAM,
	.unix_only = true,
	.state_size = sizeof(struct connection),
	.ready = varlink_stream_ready,
	.clear = varlink_stream_clear,
	.save = varlink_stream_save,
	.restore = varlink_stream_restore,
	.linger = &linger_protocol,
};
