/* SPDX-License-Identifier: MIT
 *
 * Ping-pong of 64 bytes, and 64 KiB after 64 KiB, over each of the transports.
 */
#include "bench/transport.h"

#include <sys/wait.h>

#include "base/macro.h"
#include "bench/interruption.h"
#include "bench/process.h"

#define PING 64
#define BULK ((size_t)64 * 1024)
#define ROUNDS 7
/* A command of the parent to its child. */
enum command { COMMAND_END, COMMAND_PING, COMMAND_SINK };

struct child {
	const struct transport *transport;
	struct transport_pair *pair;
};

/* The child's part. The first byte of a message is its command. */
static int serve(void *data)
{
	static char message[BULK];
	const struct child *child = data;
	const struct transport *transport = child->transport;

	for (;;) {
		char command[PING];
		int r = transport->receive(child->pair, true, command, sizeof(command));

		if (r < 0 || command[0] == COMMAND_END)
			return r;
		if (command[0] == COMMAND_PING) {
			r = transport->send(child->pair, true, command, sizeof(command));
		} else {
			/* Receives so many messages, then says whether all were right. */
			uint32_t count;
			bool right = true;

			memcpy(&count, command + 4, sizeof(count));
			for (uint32_t i = 0; r >= 0 && i < count; i++) {
				uint32_t number;

				r = transport->receive(child->pair, true, message, sizeof(message));
				memcpy(&number, message, sizeof(number));
				right = right && number == i;
			}
			command[1] = right;
			if (r >= 0)
				r = transport->send(child->pair, true, command, sizeof(command));
		}
		if (r < 0)
			return r;
	}
}

static int ping(const struct transport *transport, struct transport_pair *pair, uint64_t nsec,
		struct histogram *latencies)
{
	char message[PING] = { COMMAND_PING }, answer[PING];
	uint64_t end = now_nsec() + nsec, serial = 0;

	do {
		uint64_t begin = now_nsec();
		int r;

		serial++;
		memcpy(message + 8, &serial, sizeof(serial));
		r = transport->send(pair, false, message, sizeof(message));
		if (r >= 0)
			r = transport->receive(pair, false, answer, sizeof(answer));
		if (r >= 0 && memcmp(message, answer, sizeof(message)) != 0)
			r = -EBADMSG;
		if (r < 0)
			return r;
		histogram_add(latencies, now_nsec() - begin);
	} while (now_nsec() < end);
	return 0;
}

/* Sends `count` messages and waits until all have been read. */
static int pour(const struct transport *transport, struct transport_pair *pair, uint32_t count)
{
	static char message[BULK];
	char command[PING] = { COMMAND_SINK };
	int r;

	memcpy(command + 4, &count, sizeof(count));
	r = transport->send(pair, false, command, sizeof(command));
	for (uint32_t i = 0; r >= 0 && i < count; i++) {
		memcpy(message, &i, sizeof(i));
		r = transport->send(pair, false, message, sizeof(message));
	}
	if (r >= 0)
		r = transport->receive(pair, false, command, sizeof(command));
	return r < 0 ? r : command[1] == 1 ? 0 : -EBADMSG;
}

static int pour_for(const struct transport *transport, struct transport_pair *pair, uint64_t nsec, double *ret_bytes)
{
	uint64_t begin = now_nsec(), end = begin + nsec, sent = 0, now;

	do {
		const uint32_t count = 64;
		int r = pour(transport, pair, count);

		if (r < 0)
			return r;
		sent += count * BULK;
		now = now_nsec();
	} while (now < end);
	*ret_bytes = (double)sent * (double)NSEC_PER_SEC / (double)(now - begin);
	return 0;
}

struct running {
	struct transport_pair pair;
	struct process process;
	struct histogram latencies;
	double bytes[ROUNDS];
};

static int start(struct running *running, const struct transport *transport, const struct places *places,
		 const char *directory)
{
	struct child child = { .transport = transport, .pair = &running->pair };
	int r;

	running->pair = (struct transport_pair){ .fds = { -EBADF, -EBADF }, .back = { -EBADF, -EBADF } };
	r = transport->open(&running->pair, directory);
	if (r >= 0)
		r = process_fork(&running->process, places->server, serve, &child);
	return r;
}

static void stop(struct running *running, const struct transport *transport)
{
	process_stop(&running->process);
	transport->close(&running->pair);
}

int transports_run(struct transport_result *results, size_t count, const struct places *places,
		   const char *directory, double seconds, void (*progress)(const char *, unsigned, unsigned))
{
	struct running *running = calloc(count, sizeof(*running));
	/* Half of a turn for each of the two measurements. */
	uint64_t turn = (uint64_t)(seconds / ROUNDS / 2 * (double)NSEC_PER_SEC);

	if (!running)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		results[i].error = start(&running[i], results[i].transport, places, directory);

	for (unsigned round = 0; round < ROUNDS && !interrupted(); round++)
		for (size_t i = 0; i < count; i++) {
			const struct transport *transport = results[i].transport;

			progress(transport->title, round + 1, ROUNDS);
			if (results[i].error >= 0)
				results[i].error = ping(transport, &running[i].pair, turn, &running[i].latencies);
			if (results[i].error >= 0)
				results[i].error = pour_for(transport, &running[i].pair, turn,
							    &running[i].bytes[round]);
		}

	for (size_t i = 0; i < count; i++) {
		const struct histogram *latencies = &running[i].latencies;

		stop(&running[i], results[i].transport);
		if (results[i].error >= 0 && interrupted())
			results[i].error = -EINTR;
		results[i].rounds = ROUNDS;
		results[i].p50 = histogram_quantile(latencies, 0.5);
		results[i].p99 = histogram_quantile(latencies, 0.99);
		results[i].p999 = histogram_quantile(latencies, 0.999);
		results[i].bytes = statistics_median(running[i].bytes, ROUNDS);
	}
	free(running);
	return 0;
}
