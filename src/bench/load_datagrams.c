/* SPDX-License-Identifier: MIT
 *
 * Datagrams: as many under way as the window allows. They come back in their order, all of them.
 */
#include <poll.h>
#include <string.h>
#include <sys/un.h>

#include "base/macro.h"
#include "bench/side.h"

#define WINDOW_MAX 64
#define DATAGRAM_MAX ((size_t)4096)

struct datagrams {
	uint64_t sent, received;
	uint64_t sent_nsec[WINDOW_MAX];
	struct mmsghdr out[WINDOW_MAX], in[WINDOW_MAX];
	struct iovec out_parts[WINDOW_MAX], in_parts[WINDOW_MAX];
	char message[WINDOW_MAX][DATAGRAM_MAX], answer[WINDOW_MAX][DATAGRAM_MAX];
};

static int datagrams_open(struct side *side)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	struct datagrams *datagrams = calloc(1, sizeof(*datagrams));
	int r = side_make_fds(side, 1);

	side->state = datagrams;
	if (r < 0 || !datagrams)
		return -ENOMEM;
	if (side->shape->size > DATAGRAM_MAX || side->shape->window > WINDOW_MAX)
		return -EINVAL;
	for (size_t i = 0; i < WINDOW_MAX; i++) {
		memset(datagrams->message[i], 'd', side->shape->size);
		datagrams->out_parts[i] = (struct iovec){ datagrams->message[i], side->shape->size };
		datagrams->out[i].msg_hdr.msg_iov = &datagrams->out_parts[i];
		datagrams->out[i].msg_hdr.msg_iovlen = 1;
		datagrams->in_parts[i] = (struct iovec){ datagrams->answer[i], DATAGRAM_MAX };
		datagrams->in[i].msg_hdr.msg_iov = &datagrams->in_parts[i];
		datagrams->in[i].msg_hdr.msg_iovlen = 1;
	}
	side->fds[0] = side_connect(side, SOCK_DGRAM);
	if (side->fds[0] < 0)
		return side->fds[0];
	/* An address that the kernel chooses, for the answers. */
	return bind(side->fds[0], (const struct sockaddr *)&any, sizeof(sa_family_t)) < 0 ? -errno : 0;
}

static int check_one(struct side *side, struct datagrams *datagrams, const char *answer, size_t size,
		     struct sample *sample)
{
	size_t slot = datagrams->received % WINDOW_MAX;
	uint64_t serial;

	if (size != side->shape->size)
		return -EBADMSG;
	memcpy(&serial, answer, sizeof(serial));
	if (serial != ++datagrams->received || memcmp(answer + sizeof(serial), datagrams->message[slot] + sizeof(serial),
						      size - sizeof(serial)) != 0)
		return -EBADMSG;
	histogram_add(sample->latencies, now_nsec() - datagrams->sent_nsec[slot]);
	sample->operations++;
	sample->bytes += size;
	return 0;
}

static void stamp(struct datagrams *datagrams, size_t index, uint64_t serial)
{
	memcpy(datagrams->message[index], &serial, sizeof(serial));
}

/* One by one, with the fastest calls for that. */
static int ping_pong(struct side *side, struct datagrams *datagrams, struct sample *sample)
{
	ssize_t size;

	stamp(datagrams, 0, datagrams->sent + 1);
	datagrams->sent_nsec[datagrams->sent % WINDOW_MAX] = now_nsec();
	if (send(side->fds[0], datagrams->message[0], side->shape->size, MSG_NOSIGNAL) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	datagrams->sent++;
	size = recv(side->fds[0], datagrams->answer[0], DATAGRAM_MAX, 0);
	if (size < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return check_one(side, datagrams, datagrams->answer[0], (size_t)size, sample);
}

static int send_burst(struct side *side, struct datagrams *datagrams)
{
	size_t room = side->shape->window - (size_t)(datagrams->sent - datagrams->received);
	uint64_t now = now_nsec();
	int sent;

	if (room == 0)
		return 0;
	for (size_t i = 0; i < room; i++)
		stamp(datagrams, i, datagrams->sent + i + 1);
	sent = sendmmsg(side->fds[0], datagrams->out, (unsigned)room, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (int i = 0; i < sent; i++)
		datagrams->sent_nsec[datagrams->sent++ % WINDOW_MAX] = now;
	return sent;
}

static int receive_burst(struct side *side, struct datagrams *datagrams, struct sample *sample)
{
	int count = recvmmsg(side->fds[0], datagrams->in, WINDOW_MAX, MSG_DONTWAIT, NULL);

	if (count < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		int r = check_one(side, datagrams, datagrams->answer[i], datagrams->in[i].msg_len, sample);

		if (r < 0)
			return r;
	}
	return count;
}

static int datagrams_run(struct side *side, uint64_t until, struct sample *sample)
{
	struct datagrams *datagrams = side->state;
	bool filling = true;

	while (filling || datagrams->received < datagrams->sent) {
		int sent, received;

		if (side->shape->window == 1) {
			sent = received = ping_pong(side, datagrams, sample);
		} else {
			sent = filling ? send_burst(side, datagrams) : 0;
			received = sent < 0 ? sent : receive_burst(side, datagrams, sample);
			if (sent == 0 && received == 0) {
				struct pollfd either = { .fd = side->fds[0], .events = POLLIN };

				if (filling && datagrams->sent - datagrams->received < side->shape->window)
					either.events |= POLLOUT;
				received = poll(&either, 1, 5000) == 0 ? -ETIMEDOUT : 0;
			}
		}
		if (sent < 0 || received < 0)
			return sent < 0 ? sent : received;
		if (now_nsec() >= until)
			filling = false;
	}
	return 0;
}

const struct load load_datagrams = { datagrams_open, datagrams_run };
