/* SPDX-License-Identifier: MIT
 *
 * A peer: one connection of porterd.
 */
#include "opener/serving/peer.h"

#include <sys/epoll.h>

#include "base/macro.h"
#include "kernel/sockio.h"
#include "kernel/sockopt.h"

struct peer {
	struct peer_owner *owner;
	struct list_link link;     /* of the owner's peers */
	struct loop_source source; /* its fd is owned */
	struct ucred credentials;  /* of porterd, at the other end */
	struct response *waiting; /* a reply that found no room; nothing is received meanwhile */
	bool resting; /* a request could not be received: out of the loop, whose event would come again at once */
};

static void response_free(struct response *response)
{
	if (response)
		fdset_clear(&response->fds);
	free(response);
}

static void peer_free(struct peer *peer)
{
	struct peer_owner *owner = peer->owner;

	list_remove(&owner->peers, &peer->link);
	loop_remove(owner->loop, &peer->source);
	response_free(peer->waiting);
	fd_close(peer->source.fd);
	free(peer);
}

/* A reply that had to wait, with files that are recorded as granted, could not be sent after all. */
static void tell_unsent(const struct peer *peer, size_t count)
{
	if (count > 0)
		record_message(peer->owner->service->recorder, LOG_WARNING, "%zu files whose records say granted were "
			       "not handed out: the answer had to wait for porterd, and could not be sent", count);
}

static void peer_close(struct peer *peer)
{
	struct peer_owner *owner = peer->owner;

	if (peer->waiting)
		tell_unsent(peer, peer->waiting->fds.count);
	peer_free(peer);
	owner->closed(owner);
}

static int send_response(int fd, struct response *response)
{
	struct iovec parts[] = {
		{ &response->header, sizeof(response->header) },
		{ response->text, response->header.text_size },
	};
	ssize_t sent = sockio_send_fds(fd, parts, ELEMENTSOF(parts), response->fds.fds, response->fds.count,
				       MSG_DONTWAIT);

	/* More descriptors of ours are on their way, unread, than the kernel keeps for one user. */
	if (sent == -ETOOMANYREFS && response->fds.count > 0) {
		fdset_clear(&response->fds);
		response->header.result = OPENER_BUSY;
		response->header.count = 0;
		return send_response(fd, response);
	}
	return sent < 0 ? (int)sent : 0;
}

/* While stopping every peer gets its turns, until one finds no request. */
static uint32_t events_of(const struct peer *peer)
{
	uint32_t events = peer->owner->stopping ? EPOLLIN | EPOLLOUT : EPOLLIN;

	return peer->waiting ? EPOLLOUT : events;
}

static int watch(struct peer *peer)
{
	return peer->resting ? 0 : loop_change(peer->owner->loop, &peer->source, events_of(peer));
}

/* The request stays where it is, in the connection. */
static void rest(struct peer *peer, int error)
{
	loop_remove(peer->owner->loop, &peer->source);
	peer->resting = true;
	peer->owner->paused(peer->owner, error);
}

/* Keeps the scratch reply until there is room for it. */
static int keep_response(struct peer *peer)
{
	struct response *scratch = peer->owner->scratch;

	peer->waiting = malloc(sizeof(*peer->waiting));
	if (!peer->waiting)
		return -ENOMEM;
	peer->waiting->header = scratch->header;
	memcpy(peer->waiting->text, scratch->text, scratch->header.text_size);
	fdset_move(&peer->waiting->fds, &scratch->fds);
	return watch(peer);
}

/* One request. 1 if there may be another, 0 if none waits or can be served now, -errno if this was the last. */
static int serve_one(struct peer *peer)
{
	struct peer_owner *owner = peer->owner;
	_Alignas(struct opener_request) char packet[REQUEST_SIZE_MAX];
	struct fdset fds;
	ssize_t size;
	bool granted;
	int r;

	/* For a packet that is not received as a whole. */
	memset(packet, 0, sizeof(struct opener_request));
	size = sockio_receive_fds(peer->source.fd, packet, sizeof(packet), &fds, MSG_DONTWAIT);
	if (size == -EAGAIN)
		return 0;
	if (size != -EMFILE && error_is_shortage((int)size)) {
		rest(peer, (int)size);
		return 0;
	}
	if (size < 0 && size != -EBADMSG && size != -EMFILE)
		return (int)size;
	/* The end of a seqpacket connection looks like an empty packet, which no porterd sends. */
	if (size == 0) {
		fdset_clear(&fds);
		return -ECONNRESET;
	}

	owner->service->asker = peer->credentials;
	request_serve(owner->request, owner->service, packet, size, &fds, owner->scratch);
	if (owner->scratch->header.result == OPENER_BAD_REQUEST && complaint_is_due(&owner->service->repeating))
		record_message(owner->service->recorder, LOG_WARNING, "porterd sent a request that it must not send: "
			       "%.*s", (int)owner->scratch->header.text_size, owner->scratch->text);

	/* porterd goes on while the rest is done. */
	granted = owner->scratch->header.result == OPENER_OK;
	r = send_response(peer->source.fd, owner->scratch);
	if (granted && owner->scratch->header.result != OPENER_OK)
		request_withdraw(owner->request, "descriptors that porterd was sent before are unread");
	if (r == -EAGAIN)
		r = keep_response(peer);
	if (r < 0)
		request_withdraw(owner->request, "it could not be sent to porterd");
	request_finish(owner->request);
	owner->served(owner);
	return r < 0 ? r : peer->waiting == NULL;
}

/* Sends the reply that waits for room. 1 if none waits any more, 0 if it still does, or -errno. */
static int send_waiting(struct peer *peer)
{
	size_t count;
	int r;

	if (!peer->waiting)
		return 1;
	count = peer->waiting->fds.count;
	r = send_response(peer->source.fd, peer->waiting);
	if (peer->waiting->header.result != OPENER_OK)
		tell_unsent(peer, count);
	if (r == -EAGAIN)
		return 0;
	if (r < 0)
		return r;
	response_free(TAKE_POINTER(peer->waiting));
	r = watch(peer);
	return r < 0 ? r : 1;
}

/* One request, and the others have their turn. Most have no more than one, and receiving once more to see that takes as
 * long as the loop does to tell that there is one. */
static void peer_ready(struct loop_source *source, uint32_t events)
{
	struct peer *peer = CONTAINER_OF(source, struct peer, source);
	int r = send_waiting(peer);

	(void)events;
	if (r > 0)
		r = serve_one(peer);
	if (r < 0 || (r == 0 && peer->owner->stopping && !peer->waiting && !peer->resting))
		peer_close(peer);
}

int peer_new(struct peer_owner *owner, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer) {
		fd_close(fd);
		return -ENOMEM;
	}
	if (sockopt_peer_credentials(fd, &peer->credentials) < 0)
		peer->credentials = (struct ucred){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	peer->owner = owner;
	peer->source.fd = fd;
	peer->source.ready = peer_ready;
	list_prepend(&owner->peers, &peer->link);

	r = loop_add(owner->loop, &peer->source, EPOLLIN);
	if (r < 0)
		peer_free(peer);
	return r;
}

bool peers_resume(struct peer_owner *owner)
{
	bool all = true;

	LIST_FOR_EACH(&owner->peers, struct peer, peer, link) {
		if (peer->resting)
			peer->resting = loop_add(owner->loop, &peer->source, events_of(peer)) < 0;
		all = all && !peer->resting;
	}
	return all;
}

void peers_drain(struct peer_owner *owner)
{
	LIST_FOR_EACH(&owner->peers, struct peer, peer, link)
		(void)watch(peer);
}

void peers_free(struct peer_owner *owner)
{
	LIST_FOR_EACH(&owner->peers, struct peer, peer, link)
		peer_free(peer);
}
