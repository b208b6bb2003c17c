/* SPDX-License-Identifier: MIT
 *
 * Who is asking, as the kernel attests it. Nothing in here comes from a peer's own words.
 *
 * The kernel keeps a connection's credentials from connect() on, so each part may be read when it is first
 * needed, and once: a pidfd costs ten times as much as the rest, a cgroup twenty times.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kernel/sockio.h"

/* The overflow ids: what those of another user namespace read as, so everybody's and nobody's. */
#define IDENTITY_UID_NOBODY ((uid_t)65534)
#define IDENTITY_GID_NOBODY ((gid_t)65534)

enum identity_part {
	IDENTITY_CREDENTIALS = 1 << 0, /* uid, gid, pid */
	IDENTITY_GROUPS = 1 << 1,      /* groups */
	IDENTITY_PROCESS = 1 << 2,     /* pidfd */
	IDENTITY_UNIT = 1 << 3,	       /* unit, invocation_id */
	IDENTITY_LABEL = 1 << 4,       /* label */
	IDENTITY_ALL = (1 << 5) - 1,
};

struct identity {
	unsigned known; /* the parts that were read: never read again */
	uid_t uid;
	gid_t gid;
	pid_t pid; /* in the reader's PID namespace; 0 if it is not visible there */

	bool has_groups; /* false where the kernel attests none: datagrams */
	gid_t *groups;	 /* supplementary groups, owned */
	size_t n_groups;

	int pidfd;	   /* owned; -ENOPROTOOPT on kernels before 6.5, -ESRCH if the process is gone */
	char *unit;	   /* system unit of the process, owned; NULL: none, or not attested */
	char *invocation_id; /* of that unit, 32 hex digits, owned; NULL as above */
	char *label;	   /* security label, owned; NULL: none */
};

/* An identity of which nothing is known yet, and which allows nothing. */
void identity_init(struct identity *identity);

/* Frees what it owns and makes it empty again. */
void identity_clear(struct identity *identity);

/* Reads those of `parts` that are not known yet from the connected socket. A part that this kernel or this
 * process can't tell (pidfd, unit, label) stays empty and is no error.
 * Returns 0, -ENOMEM, or why the socket tells no credentials (-ENOTCONN, -ENOPROTOOPT: not AF_UNIX). */
int identity_read(struct identity *identity, int socket_fd, unsigned parts);

/* Takes over what came with one message; sockio_receive_attested() filled `sender`, whose pidfd is consumed.
 * -ENODATA: the message carried no credentials. */
int identity_from_sender(struct identity *identity, struct sockio_sender *sender /* consumes pidfd */);

/* As identity_read(), for an identity that came with a message: reads the unit of its pidfd. */
int identity_read_unit(struct identity *identity);

/* The invocation of a running unit, 32 hex digits that the caller frees; NULL: not known. */
char *identity_invocation_id(const char *unit);

/* Does it name somebody at all? uid 65534 and pid 0 are what the kernel says of whom it can't name here. */
bool identity_is_attested(const struct identity *identity);

/* Is the process that connected still there? False also where no pidfd tells. */
bool identity_is_alive(const struct identity *identity);

/* Is `gid` its primary or one of its supplementary groups? Nobody is in group 65534. */
bool identity_in_group(const struct identity *identity, gid_t gid);
