/* SPDX-License-Identifier: MIT
 *
 * Answers to datagrams, with a bounded second try.
 */
#include "serve/answers.h"

#include <sys/un.h>

#include "base/clock.h"
#include "kernel/identity.h"
#include "kernel/return_address.h"
#include "kernel/sockopt.h"
#include "record/message_id.h"
#include "serve/outlets.h"
#include "serve/population.h"

/* What may wait: for all senders, for those of one user, and for one of them; and how often it is tried again. */
#define WAITING_MAX 64
#define WAITING_PER_USER_MAX 16
#define WAITING_BYTES_MAX (1024UL * 1024UL)
#define WAITING_PER_SENDER_MAX 8
#define RETRY_USEC (10 * USEC_PER_MSEC)
#define RETRIES_MAX 20

struct waiting {
	struct waiting *next;
	struct sockio_sender to;
	unsigned retries;
	size_t size;
	char data[];
};

struct answers {
	struct population *population;
	int fd;
	int half_full; /* bytes that the kernel charges to the socket */
	int charged;   /* it charges at most so many now */
	struct outlets outlets;
	struct complaint modes; /* of sockets that can't be written to */
	struct waiting *first;
	size_t n_waiting, waiting_bytes;
	sd_event_source *retry;
};

/* Nobody is the one to whom all belongs that nobody vouches for. */
static uid_t user_of(const struct sockio_sender *sender)
{
	return sender->attested ? sender->credentials.uid : IDENTITY_UID_NOBODY;
}

static size_t count_waiting_of_user(const struct answers *answers, uid_t uid)
{
	size_t count = 0;

	for (const struct waiting *w = answers->first; w; w = w->next)
		count += user_of(&w->to) == uid;
	return count;
}

static size_t count_waiting(const struct answers *answers, const struct sockio_sender *to)
{
	size_t count = 0;

	for (const struct waiting *w = answers->first; w; w = w->next)
		count += sender_is(&w->to, to);
	return count;
}

static int send_to(int fd, const void *data, size_t size, const struct return_address *to)
{
	struct iovec part = { (void *)(uintptr_t)data, size };

	return sockio_send_to(fd, &part, 1, (const struct sockaddr *)&to->address, to->size, -EBADF);
}

/* Sends from an unnamed socket. -EAGAIN: so much was left unread. -EPERM: the receiver is connected to another socket,
 * ours. -ECONNREFUSED, too, of a receiver with an abstract name: those belong to a network namespace, and with
 * PrivateNetwork= such a socket is in another one than ours, which systemd made. */
static int send_by_outlet(struct answers *answers, const void *data, size_t size, const struct sockio_sender *to,
		      const struct return_address *address)
{
	int fd = outlets_find(&answers->outlets, user_of(to), to);

	return fd < 0 ? -EAGAIN : send_to(fd, data, size, address);
}

/* How much the kernel charges for a datagram at most: the memory that it takes. */
static int charge_of(size_t size)
{
	return 2 * (int)size + 4096;
}

/* Is the send buffer half full, or will it be with so many bytes more? The kernel is asked only where what was sent
 * since it was asked last could have filled it. */
static bool is_half_full(struct answers *answers, int more)
{
	if (answers->charged + more > answers->half_full)
		answers->charged = sockopt_unread(answers->fd);
	return answers->charged + more > answers->half_full;
}

/* 0; -EAGAIN: try again; or why there is no answer. */
static int send_now(struct answers *answers, const void *data, size_t size, const struct sockio_sender *to)
{
	struct return_address address;
	int r = return_address_find(&address, to);

	if (r < 0)
		return r;

	r = -EPERM;
	if (to->address.ss_family == AF_UNIX && is_half_full(answers, 0))
		r = send_by_outlet(answers, data, size, to, &address);
	if (r == -EPERM || r == -ECONNREFUSED) {
		r = send_to(answers->fd, data, size, &address);
		answers->charged += charge_of(size);
	}
	return_address_clear(&address);
	return r;
}

static void arm(struct answers *answers)
{
	loop_arm(answers->population->loop, answers->retry, RETRY_USEC);
}

/* It binds a path with a mode that lets nobody else write to it (umask 022), or in a directory that is closed to others,
 * and would wait for its answer for ever without a word. */
static void complain_of_mode(struct answers *answers, const struct sockio_sender *to)
{
	const struct sockaddr_un *address = (const struct sockaddr_un *)(const void *)&to->address;
	struct recorder *recorder = answers->population->recorder;

	if (!complaint_is_due(&answers->modes))
		return;
	record_begin(recorder, LOG_NOTICE, MESSAGE_ID_UNWRITABLE);
	record_format(recorder, "MESSAGE", "No answer to %.*s of user %u: porterd may not write to that socket. Remedy: umask(0) "
		      "before bind(), chmod(0666) after it, or an abstract address",
		      (int)sizeof(address->sun_path), address->sun_path, user_of(to));
	record_number(recorder, "PORTERD_CLIENT_UID", (int64_t)user_of(to));
	(void)record_submit(recorder);
}

static void drop(struct answers *answers, int error, const struct sockio_sender *to)
{
	uint64_t *counts = answers->population->counts.of;

	if (error == -EACCES) {
		counts[COUNT_UNWRITABLE]++;
		complain_of_mode(answers, to);
	} else if (error == -EDESTADDRREQ) {
		counts[COUNT_UNBOUND]++;
	} else if (error == -ENODATA) {
		counts[COUNT_UNATTESTED]++;
	} else {
		counts[COUNT_UNDELIVERABLE]++;
	}
}

static void keep(struct answers *answers, const void *data, size_t size, const struct sockio_sender *to)
{
	struct waiting *waiting, **end = &answers->first;

	if (answers->n_waiting >= WAITING_MAX || answers->waiting_bytes + size > WAITING_BYTES_MAX ||
	    count_waiting(answers, to) >= WAITING_PER_SENDER_MAX ||
	    count_waiting_of_user(answers, user_of(to)) >= WAITING_PER_USER_MAX) {
		drop(answers, -EAGAIN, to);
		return;
	}

	waiting = malloc(sizeof(*waiting) + size);
	if (!waiting) {
		drop(answers, -EAGAIN, to);
		return;
	}
	waiting->next = NULL;
	waiting->to = *to;
	waiting->to.pidfd = -EBADF;
	waiting->retries = 0;
	waiting->size = size;
	memcpy(waiting->data, data, size);

	while (*end)
		end = &(*end)->next;
	*end = waiting;
	answers->n_waiting++;
	answers->waiting_bytes += size;
	answers->population->n_waiting++;
	if (answers->n_waiting == 1)
		arm(answers);
}

void answers_send(struct answers *answers, const void *data, size_t size, const struct sockio_sender *to)
{
	int r;

	/* Not past an earlier answer to the same sender. */
	if (answers->first && count_waiting(answers, to) > 0) {
		keep(answers, data, size, to);
		return;
	}

	r = send_now(answers, data, size, to);
	if (r == -EAGAIN)
		keep(answers, data, size, to);
	else if (r < 0)
		drop(answers, r, to);
}

/* May it go straight to the address that it came from? The way to a path is looked at first (return_address). */
static bool goes_straight(const struct sockio_datagram *datagram)
{
	const struct sockio_sender *sender = &datagram->sender;
	const struct sockaddr_un *address = (const struct sockaddr_un *)(const void *)&sender->address;

	if (datagram->size < 0)
		return false;
	return address->sun_family != AF_UNIX ? sender->address_size > sizeof(sa_family_t)
					      : sender->address_size > offsetof(struct sockaddr_un, sun_path) &&
							address->sun_path[0] == '\0';
}

/* How many of the first can be sent by one call, because nothing speaks against any of them. */
static size_t count_straight(struct answers *answers, const struct sockio_datagram *datagrams, size_t count)
{
	size_t n = 0;
	int charge = 0;

	/* Whoever waits, waits for all that come later. */
	for (; !answers->first && n < count && goes_straight(&datagrams[n]); n++) {
		if (is_half_full(answers, charge))
			break;
		charge += charge_of((size_t)datagrams[n].size);
	}
	return n;
}

void answers_return(struct answers *answers, const struct sockio_datagram *datagrams, size_t count)
{
	for (size_t i = 0; i < count;) {
		size_t straight = count_straight(answers, datagrams + i, count - i);
		int sent = straight > 1 ? sockio_return_datagrams(answers->fd, datagrams + i, straight) : 0;

		if (sent > 0) {
			for (int k = 0; k < sent; k++)
				answers->charged += charge_of((size_t)datagrams[i++].size);
			continue;
		}
		/* This one by itself, which also finds out why it is another case than the others. */
		if (datagrams[i].size >= 0)
			answers_send(answers, datagrams[i].buffer, (size_t)datagrams[i].size, &datagrams[i].sender);
		i++;
	}
}

static struct waiting *unlink_waiting(struct answers *answers, struct waiting **at)
{
	struct waiting *gone = *at;

	*at = gone->next;
	answers->n_waiting--;
	answers->waiting_bytes -= gone->size;
	answers->population->n_waiting--;
	return gone;
}

/* Has an earlier entry for the same sender been left waiting? */
static bool must_wait(const struct answers *answers, const struct waiting *entry)
{
	for (const struct waiting *w = answers->first; w != entry; w = w->next)
		if (sender_is(&w->to, &entry->to))
			return true;
	return false;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct answers *answers = userdata;
	struct waiting **at = &answers->first;

	(void)source;
	(void)usec;
	while (*at) {
		struct waiting *entry = *at;
		int r = -EAGAIN;

		if (!must_wait(answers, entry))
			r = send_now(answers, entry->data, entry->size, &entry->to);
		if (r == -EAGAIN && ++entry->retries < RETRIES_MAX) {
			at = &entry->next;
			continue;
		}
		if (r < 0)
			drop(answers, r, &entry->to);
		free(unlink_waiting(answers, at));
	}

	if (answers->first)
		arm(answers);
	population_changed(answers->population);
	return 0;
}

int answers_new(struct answers **ret, struct population *population, int fd)
{
	struct answers *answers = calloc(1, sizeof(*answers));
	int r, size = 0;
	socklen_t length = sizeof(size);

	if (!answers)
		return -ENOMEM;

	/* An answer can be as large as the largest question. What systemd gave (SendBuffer=) may be more than this
	 * process could. */
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0 || (size_t)size < sockopt_packet_max())
		(void)sockopt_grow_send_buffer(fd);
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0)
		size = 0;

	outlets_init(&answers->outlets);
	answers->population = population;
	answers->fd = fd;
	answers->half_full = size / 2;
	r = loop_timer_new(population->loop->event, &answers->retry, on_retry, answers);
	if (r < 0) {
		answers_free(answers);
		return r;
	}

	*ret = answers;
	return 0;
}

void answers_free(struct answers *answers)
{
	if (!answers)
		return;
	while (answers->first)
		free(unlink_waiting(answers, &answers->first));
	sd_event_source_disable_unref(answers->retry);
	outlets_clear(&answers->outlets);
	free(answers);
}
