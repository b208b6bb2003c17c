/* SPDX-License-Identifier: MIT
 *
 * credentials on seqpacket and datagram sockets: io.porterd.Credentials, one JSON object a message.
 */
#include <sys/epoll.h>

#include "kernel/sockio.h"
#include "serve/answers.h"
#include "serve/connection.h"
#include "serve/listener.h"
#include "services/caller.h"
#include "services/protocols.h"

/* A call is some hundred bytes; the kernel gives no packet larger than its sender's buffer anyway. */
#define PACKET_MAX (64UL * 1024UL)
#define DATAGRAMS_PER_ROUND 64

/* A call that came in a packet, and where its reply goes. */
struct packet_call {
	struct varlink_call call;
	struct varlink_output output;
};

static int keep_reply(struct varlink_call *call, json_t *reply, struct fdset *fds)
{
	struct packet_call *packet_call = CONTAINER_OF(call, struct packet_call, call);

	(void)fds;
	return varlink_output_add(&packet_call->output, reply, false);
}

/* Runs the call in the packet; its reply, if any, is then in the output. */
static int run_packet(struct packet_call *packet_call, struct caller *caller, const char *packet, size_t size)
{
	uint64_t *counts = caller->population->counts.of;
	int r;

	packet_call->call.service = &porterd_packet_service;
	packet_call->call.reply = keep_reply;
	packet_call->call.caller = caller;

	r = size > PACKET_MAX ? -EMSGSIZE : varlink_dispatch(&packet_call->call, packet, size);
	if (r == -EBADMSG || r == -EMSGSIZE)
		counts[COUNT_MALFORMED]++;
	else if (r >= 0)
		counts[COUNT_REQUESTS]++;
	return r;
}

/* Connections */

struct credentials_packet {
	struct connection connection;
	bool begun;
	struct caller caller;
	struct packet_call call;
};

static void credentials_packet_clear(struct connection *connection)
{
	struct credentials_packet *state = CONTAINER_OF(connection, struct credentials_packet, connection);

	varlink_call_abandon(&state->call.call);
	varlink_output_clear(&state->call.output);
	if (state->begun)
		caller_clear(&state->caller);
}

/* Sends the reply that is there. 0: none is left; -EAGAIN; or why the connection is over. */
static int send_reply(struct credentials_packet *state)
{
	struct varlink_output *output = &state->call.output;
	ssize_t sent;

	if (!varlink_output_pending(output))
		return 0;
	sent = sockio_send(state->connection.source.fd, output->data, output->end, MSG_DONTWAIT);
	if (sent < 0)
		return (int)sent;
	varlink_output_clear(output);
	return 0;
}

/* One packet. 0: served; -EAGAIN: there is none, or its reply waits; or why the connection is over. */
static int serve_packet(struct credentials_packet *state)
{
	const struct buffer *buffer = &state->connection.population->buffer;
	bool end;
	ssize_t received = sockio_receive_packet(state->connection.source.fd, buffer->data,
						 PACKET_MAX, &end, MSG_DONTWAIT);
	int r;

	if (received < 0)
		return connection_pause(&state->connection, (int)received) ? -EAGAIN : (int)received;
	if (end)
		return -ECONNRESET;
	r = run_packet(&state->call, &state->caller, buffer->data, (size_t)received);
	return r < 0 ? r : send_reply(state);
}

static void credentials_packet_ready(struct connection *connection, uint32_t events)
{
	struct credentials_packet *state = CONTAINER_OF(connection, struct credentials_packet, connection);
	int r;

	(void)events;
	if (!state->begun) {
		caller_init(&state->caller, connection->population, &connection->share);
		state->begun = true;
	}

	r = send_reply(state);
	if (r >= 0)
		r = serve_packet(state);
	if (r < 0 && r != -EAGAIN)
		connection_close(connection);
	else
		connection_watch(connection, varlink_output_pending(&state->call.output) ? EPOLLOUT : EPOLLIN);
}

static int credentials_packet_save(struct connection *connection, struct leftovers *left)
{
	struct credentials_packet *state = CONTAINER_OF(connection, struct credentials_packet, connection);
	const struct varlink_output *output = &state->call.output;

	if (varlink_output_pending(output)) {
		left->has_unsent = true;
		left->unsent = output->data;
		left->unsent_size = output->end;
	}
	return 0;
}

static int credentials_packet_restore(struct connection *connection, const struct leftovers *left)
{
	struct credentials_packet *state = CONTAINER_OF(connection, struct credentials_packet, connection);

	if (left->unsent_size > connection->population->buffer.size || left->unread_size > 0)
		return -EBADMSG;
	return left->has_unsent ? varlink_output_copy(&state->call.output, left->unsent, left->unsent_size) : 0;
}

const struct protocol credentials_packet_protocol = {
	.name = "credentials",
	.type = SOCK_SEQPACKET,
	.unix_only = true,
	/* The connection says who it is; a packet's credentials only tell it from the end. */
	.attestation = PROTOCOL_ATTEST_PRESENCE,
	.state_size = sizeof(struct credentials_packet),
	.ready = credentials_packet_ready,
	.clear = credentials_packet_clear,
	.save = credentials_packet_save,
	.restore = credentials_packet_restore,
};

/* Datagrams: each is from somebody else. */

static void answer_datagram(struct listener *listener, struct sockio_sender *sender, size_t size)
{
	struct population *population = listener->population;
	struct packet_call packet_call = { .call.pending = false };
	struct caller caller;

	caller_init(&caller, population, NULL);
	if (identity_from_sender(&caller.identity, sender) < 0)
		population->counts.of[COUNT_UNATTESTED]++;
	else if (run_packet(&packet_call, &caller, population->buffer.data, size) >= 0 &&
		 varlink_output_pending(&packet_call.output))
		answers_send(listener->answers, packet_call.output.data, packet_call.output.end, sender);

	varlink_call_abandon(&packet_call.call);
	varlink_output_clear(&packet_call.output);
	caller_clear(&caller);
}

static void credentials_datagrams(struct listener *listener)
{
	struct population *population = listener->population;

	for (unsigned i = 0; i < DATAGRAMS_PER_ROUND; i++) {
		struct sockio_sender sender;
		ssize_t received = sockio_receive_attested(listener->source.fd, population->buffer.data,
							   PACKET_MAX, &sender, MSG_DONTWAIT);

		if (received == -EBADMSG) {
			population->counts.of[COUNT_UNATTESTED]++;
			continue;
		}
		if (received < 0) {
			listener_failed(listener, (int)received);
			return;
		}
		answer_datagram(listener, &sender, (size_t)received);
		sockio_sender_clear(&sender);
	}
}

const struct protocol credentials_datagram_protocol = {
	.name = "credentials",
	.type = SOCK_DGRAM,
	.unix_only = true,
	.attestation = PROTOCOL_ATTEST_SENDER,
	.datagrams = credentials_datagrams,
};
