/* SPDX-License-Identifier: MIT
 *
 * The only place that receives from or sends to a socket.
 */
#include "kernel/sockio.h"

#include <fcntl.h>
#include <stdint.h>

#include "base/macro.h"
#include "kernel/sockopt.h"

/* Room for what a message may carry. SCM_RIGHTS is put before SCM_PIDFD by the kernel, so fds that somebody
 * adds to an attested message can push the pidfd out; the message is then refused as a whole. */
union control_attested {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(SOCKIO_LABEL_MAX) + CMSG_SPACE(sizeof(int))];
};

union control_fds {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * FDSET_MAX)];
};

/* What the kernel says of uids that it can't name, unless told otherwise by sysctl. */
#define OVERFLOW_UID 65534

void sockio_sender_clear(struct sockio_sender *sender)
{
	fd_close(sender->pidfd);
	sender->pidfd = -EBADF;
}

/* recvmsg() with the rules that hold for every caller. MSG_TRUNC makes packets report their real size;
 * on a stream it would throw bytes away, so it is the callers' to ask for. */
static ssize_t receive_message(int fd, struct msghdr *message, int flags)
{
	ssize_t size;

	do
		size = recvmsg(fd, message, flags | MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR && (flags & MSG_DONTWAIT));

	return size < 0 ? -errno : size;
}

static ssize_t send_message(int fd, const struct msghdr *message, int flags)
{
	ssize_t size;

	do
		size = sendmsg(fd, message, flags | MSG_NOSIGNAL);
	while (size < 0 && errno == EINTR && (flags & MSG_DONTWAIT));

	return size < 0 ? -errno : size;
}

/* Moves every fd that a header brought into the set: SCM_RIGHTS and SCM_PIDFD are the ones that do. */
static void take_rights(const struct cmsghdr *header, struct fdset *fds)
{
	size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		(void)fdset_add(fds, fd);
	}
}

ssize_t sockio_receive(int fd, void *buffer, size_t size, int flags)
{
	ssize_t received;

	do
		received = recv(fd, buffer, size, flags);
	while (received < 0 && errno == EINTR && (flags & MSG_DONTWAIT));

	return received < 0 ? -errno : received;
}

ssize_t sockio_receive_packet(int fd, void *buffer, size_t size, bool *ret_end, int flags)
{
	struct iovec part = { buffer, size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t received = receive_message(fd, &message, flags | MSG_TRUNC);

	/* The socket asks for SCM_CREDENTIALS, for which there is no room here: with every packet the kernel tells that
	 * something was left out, with the end it does not. Passed fds find no room either, and are dropped. */
	*ret_end = received == 0 && !(message.msg_flags & MSG_CTRUNC);
	return received;
}

/* Reads one control header into the sender. -EBADMSG for anything unknown or of the wrong size. */
static int take_attestation(const struct cmsghdr *header, struct sockio_sender *sender)
{
	size_t length = header->cmsg_len - CMSG_LEN(0);

	if (header->cmsg_level != SOL_SOCKET)
		return -EBADMSG;

	switch (header->cmsg_type) {
	case SCM_CREDENTIALS:
		if (length != sizeof(struct ucred))
			return -EBADMSG;
		memcpy(&sender->credentials, CMSG_DATA(header), sizeof(struct ucred));
		/* A message that was sent before its receiver asked for credentials brings a header all the
		 * same, with pid 0 and the overflow uid in it. */
		sender->attested = sender->credentials.pid != 0 || sender->credentials.uid != OVERFLOW_UID;
		return 0;
	case SCM_PIDFD:
		if (length != sizeof(int))
			return -EBADMSG;
		fd_close(sender->pidfd);
		memcpy(&sender->pidfd, CMSG_DATA(header), sizeof(int));
		return 0;
	case SCM_SECURITY:
		if (length >= sizeof(sender->label))
			return -EBADMSG;
		memcpy(sender->label, CMSG_DATA(header), length);
		sender->label[length] = '\0';
		return 0;
	default:
		return -EBADMSG;
	}
}

static void prepare_attested(struct msghdr *message, struct iovec *part, union control_attested *control,
			     struct sockio_sender *sender)
{
	*message = (struct msghdr){
		.msg_name = &sender->address,
		.msg_namelen = sizeof(sender->address),
		.msg_iov = part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(*control),
	};
	sender->attested = false;
	sender->pidfd = -EBADF;
	sender->label[0] = '\0';
}

/* Takes what came with a message over. 0, or -EBADMSG with all of it closed. */
static int take_attested(struct msghdr *message, struct sockio_sender *sender)
{
	struct fdset unwanted;
	int r = 0;

	fdset_init(&unwanted);
	sender->address_size = message->msg_namelen;
	/* The kernel does not promise a NUL behind a path. */
	if (message->msg_namelen < sizeof(sender->address))
		((char *)&sender->address)[message->msg_namelen] = '\0';
	for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
			take_rights(h, &unwanted);
			r = -EBADMSG;
		} else if (take_attestation(h, sender) < 0) {
			r = -EBADMSG;
		}
	}

	fdset_clear(&unwanted);
	if (message->msg_flags & MSG_CTRUNC)
		r = -EBADMSG;
	if (r < 0)
		sockio_sender_clear(sender);
	return r;
}

ssize_t sockio_receive_attested(int fd, void *buffer, size_t size, struct sockio_sender *ret_sender, int flags)
{
	union control_attested control;
	struct iovec part = { buffer, size };
	struct msghdr message;
	ssize_t received;
	int r;

	prepare_attested(&message, &part, &control, ret_sender);
	received = receive_message(fd, &message, flags | MSG_TRUNC);
	if (received < 0)
		return received;
	r = take_attested(&message, ret_sender);
	return r < 0 ? r : received;
}

int sockio_receive_datagrams(int fd, struct sockio_datagram *datagrams, size_t count)
{
	union control_attested controls[SOCKIO_DATAGRAMS_MAX];
	struct mmsghdr messages[SOCKIO_DATAGRAMS_MAX];
	struct iovec parts[SOCKIO_DATAGRAMS_MAX];
	int received;

	count = MIN_OF(count, (size_t)SOCKIO_DATAGRAMS_MAX);
	for (size_t i = 0; i < count; i++) {
		parts[i] = (struct iovec){ datagrams[i].buffer, datagrams[i].room };
		prepare_attested(&messages[i].msg_hdr, &parts[i], &controls[i], &datagrams[i].sender);
	}
	do
		received = recvmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC, NULL);
	while (received < 0 && errno == EINTR);

	for (int i = 0; i < received; i++) {
		int r = take_attested(&messages[i].msg_hdr, &datagrams[i].sender);

		datagrams[i].size = r < 0 ? r : (ssize_t)messages[i].msg_len;
	}
	return received < 0 ? -errno : received;
}

int sockio_return_datagrams(int fd, const struct sockio_datagram *datagrams, size_t count)
{
	struct mmsghdr messages[SOCKIO_DATAGRAMS_MAX];
	struct iovec parts[SOCKIO_DATAGRAMS_MAX];
	int sent;

	count = MIN_OF(count, (size_t)SOCKIO_DATAGRAMS_MAX);
	for (size_t i = 0; i < count; i++) {
		parts[i] = (struct iovec){ datagrams[i].buffer, (size_t)datagrams[i].size };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = (void *)(uintptr_t)&datagrams[i].sender.address,
			.msg_namelen = datagrams[i].sender.address_size,
			.msg_iov = &parts[i],
			.msg_iovlen = 1,
		};
	}
	do
		sent = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);

	return sent < 0 ? -errno : sent;
}

ssize_t sockio_receive_fds(int fd, void *buffer, size_t size, struct fdset *fds, int flags)
{
	union control_fds control;
	struct iovec part = { buffer, size };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	bool strange = false;
	ssize_t received;

	fdset_init(fds);
	received = receive_message(fd, &message, flags);
	if (received < 0)
		return received;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
		bool rights = h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS;

		if (rights || (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_PIDFD))
			take_rights(h, fds);
		strange |= !rights;
	}

	/* There was room for as many as the kernel sends in the control data, so it is this process that has none. */
	if (!strange && (message.msg_flags & MSG_CTRUNC))
		received = -EMFILE;
	/* MSG_TRUNC: a packet longer than the buffer; its fds are as worthless as its missing bytes. */
	else if (strange || (message.msg_flags & MSG_TRUNC))
		received = -EBADMSG;
	if (received < 0)
		fdset_clear(fds);
	return received;
}

ssize_t sockio_send(int fd, const void *buffer, size_t size, int flags)
{
	ssize_t sent;

	do
		sent = send(fd, buffer, size, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR && (flags & MSG_DONTWAIT));

	return sent < 0 ? -errno : sent;
}

ssize_t sockio_splice(int from, int to, size_t size, int flags)
{
	ssize_t moved;

	do
		moved = splice(from, NULL, to, NULL, size,
			       SPLICE_F_MOVE | (flags & MSG_DONTWAIT ? (unsigned)SPLICE_F_NONBLOCK : 0));
	while (moved < 0 && errno == EINTR && (flags & MSG_DONTWAIT));

	return moved < 0 ? -errno : moved;
}

ssize_t sockio_send_fds(int fd, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds, int flags)
{
	union control_fds control;
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = n_parts,
	};

	if (n_fds > FDSET_MAX)
		return -EINVAL;

	if (n_fds > 0) {
		struct cmsghdr *header = &control.align;

		memset(&control, 0, CMSG_SPACE(sizeof(int) * n_fds));
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	}

	return send_message(fd, &message, flags);
}

int sockio_send_many_to(int fd, const struct iovec *parts, size_t count, const struct sockaddr *address,
			socklen_t address_size)
{
	struct mmsghdr messages[SOCKIO_DATAGRAMS_MAX];
	int sent;

	count = MIN_OF(count, (size_t)SOCKIO_DATAGRAMS_MAX);
	for (size_t i = 0; i < count; i++)
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = (void *)(uintptr_t)address,
			.msg_namelen = address_size,
			.msg_iov = (struct iovec *)(uintptr_t)&parts[i],
			.msg_iovlen = 1,
		};
	do
		sent = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);

	return sent < 0 ? -errno : sent;
}

int sockio_send_to(int fd, const struct iovec *parts, size_t n_parts, const struct sockaddr *address,
		   socklen_t address_size, int passed_fd)
{
	union control_fds control;
	struct msghdr message = {
		.msg_name = (void *)(uintptr_t)address,
		.msg_namelen = address_size,
		.msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = n_parts,
	};
	ssize_t sent;

	if (passed_fd >= 0) {
		struct cmsghdr *header = &control.align;

		memset(&control, 0, CMSG_SPACE(sizeof(int)));
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &passed_fd, sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int));
	}

	sent = send_message(fd, &message, MSG_DONTWAIT);
	return sent < 0 ? (int)sent : 0;
}
