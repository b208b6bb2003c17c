/* SPDX-License-Identifier: MIT
 *
 * The only place that receives from or sends to a socket. Every received fd is close-on-exec, truncated
 * control data closes everything that came with it, and a vanished peer is an error code, never SIGPIPE.
 *
 * `flags` is 0 or MSG_DONTWAIT. All functions retry after EINTR only where nothing was transferred and
 * MSG_DONTWAIT is set; a blocking call returns -EINTR so that its caller can look at its signals.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "kernel/fdset.h"

#define SOCKIO_LABEL_MAX 256

/* What the kernel says of the sender of one message. */
struct sockio_sender {
	struct sockaddr_storage address;
	socklen_t address_size; /* 0: the sender is bound to no address */
	bool attested;		/* SCM_CREDENTIALS came with the message, and name somebody */
	struct ucred credentials;
	int pidfd;			/* SCM_PIDFD, owned; negative: none */
	char label[SOCKIO_LABEL_MAX];	/* SCM_SECURITY; "": none */
};

/* Closes the sender's pidfd. */
void sockio_sender_clear(struct sockio_sender *sender);

/* Receives bytes, and nothing but bytes: fds that came along are dropped by the kernel before they are
 * ever installed, because no room for control data is offered. 0 is the end of a stream. */
ssize_t sockio_receive(int fd, void *buffer, size_t size, int flags);

/* Receives one packet of a connected seqpacket socket that has SO_PASSCRED set (sockopt_pass_credentials):
 * the credentials tell an empty packet from the end, for which alone *ret_end is true. Returns the packet's
 * real size; if that is larger than `size`, the rest of it is lost. */
ssize_t sockio_receive_packet(int fd, void *buffer, size_t size, bool *ret_end, int flags);

/* Receives one message with all that the kernel attests of its sender (what of it, is the socket's options).
 * The caller clears *ret_sender. -EBADMSG: its control data did not fit or is not understood; all of it was
 * closed and the message is lost. Returns the real size; *ret_sender is valid for results >= 0 only. */
ssize_t sockio_receive_attested(int fd, void *buffer, size_t size, struct sockio_sender *ret_sender,
				int flags);

/* One of many datagrams. */
struct sockio_datagram {
	void *buffer;
	size_t room;
	ssize_t size; /* as sockio_receive_attested() returns it */
	struct sockio_sender sender; /* valid for sizes >= 0 */
};

/* As many at once as one call brings, up to so many at a time. */
#define SOCKIO_DATAGRAMS_MAX 32

/* As sockio_receive_attested() for up to `count` datagrams that are there already; never blocks. Returns how many
 * came, each with its own result, or -errno. */
int sockio_receive_datagrams(int fd, struct sockio_datagram *datagrams, size_t count);

/* Sends datagrams back to the addresses of their senders; never blocks. Returns how many of the first ones went, or
 * why the first one did not. */
int sockio_return_datagrams(int fd, const struct sockio_datagram *datagrams, size_t count);

/* Receives one message, or some of a stream's bytes, and the fds that came along, into the empty set `fds`.
 * -EBADMSG as above, and for a packet longer than `size`; -EMFILE: this process can't hold all the fds, so all were
 * closed. In both cases the message is consumed and its bytes are in the buffer, as far as they fit. */
ssize_t sockio_receive_fds(int fd, void *buffer, size_t size, struct fdset *fds, int flags);

/* Sends bytes or one packet. Returns how many of a stream's bytes the kernel took. */
ssize_t sockio_send(int fd, const void *buffer, size_t size, int flags);

/* Moves up to `size` bytes of a stream into a pipe, or out of a pipe into a stream, without copying them. `flags` are
 * MSG_DONTWAIT, which holds where both are non-blocking, or 0. 0 is the end; fds that came along are dropped. -EINVAL:
 * the kernel can't do it for this kind of socket. Here a vanished peer raises SIGPIPE as well, unless the process
 * ignores it. */
ssize_t sockio_splice(int from, int to, size_t size, int flags);

/* Sends the parts as one message; the fds (which stay the caller's) travel with its first byte. */
ssize_t sockio_send_fds(int fd, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds,
			int flags);

/* Sends each part as a datagram of its own to the address, at most SOCKIO_DATAGRAMS_MAX of them. Returns how many the
 * kernel took from the first on, or -errno why not even that; never blocks. */
int sockio_send_many_to(int fd, const struct iovec *parts, size_t count, const struct sockaddr *address,
			socklen_t address_size);

/* Sends one datagram to an address, with at most one fd (negative: none). Never blocks. */
int sockio_send_to(int fd, const struct iovec *parts, size_t n_parts, const struct sockaddr *address,
		   socklen_t address_size, int passed_fd);
