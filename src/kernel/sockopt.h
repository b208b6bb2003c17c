/* SPDX-License-Identifier: MIT
 *
 * Socket options: what newer kernels have and older headers lack, and the questions that porterd asks of
 * a socket. An option that the running kernel does not know answers -ENOPROTOOPT.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Values of include/uapi/asm-generic/socket.h and include/linux/socket.h; parisc and sparc count
 * differently, and where the headers are too old there, the options are simply not tried. */
#if !defined(__hppa__) && !defined(__sparc__)
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif
#ifndef SCM_SECURITY
#define SCM_SECURITY 0x03
#endif

/* Makes the kernel refuse messages with fds (EPERM at their sender), Linux 6.16; accepted sockets inherit it. */
int sockopt_refuse_rights(int fd);

/* Has it refuse fds, and take no credentials or pidfd along, from now on: these would end a stream's receive before all
 * bytes are received. What was queued before may still do so. -errno: fds can't be refused. */
int sockopt_pass_nothing(int fd);

/* Makes each message carry SCM_CREDENTIALS. */
int sockopt_pass_credentials(int fd);

/* Makes each message carry all that the kernel attests: credentials, and, where it can, pidfd and label. */
int sockopt_pass_attestation(int fd);

/* The credentials of the process that connected (or called socketpair). */
int sockopt_peer_credentials(int fd, struct ucred *ret);

/* Its supplementary groups. *ret is allocated, the caller frees it (NULL for none). */
int sockopt_peer_groups(int fd, gid_t **ret, size_t *ret_count);

/* A pidfd of it, owned by the caller. -ENOPROTOOPT before Linux 6.5, -ESRCH where it is gone. */
int sockopt_peer_pidfd(int fd);

/* Its security label, "" where there is none. -ENOPROTOOPT without a security module, -ERANGE if too long. */
int sockopt_peer_label(int fd, char *label, size_t size);

/* How many bytes the kernel charges to this socket for what was sent and not read yet: contents and some
 * hundred bytes of its own for each message. */
int sockopt_unread(int fd);

/* Never fewer than the bytes that have come and were not received yet, or -errno. (Since Linux 6.17 an urgent byte that
 * is gone still counts.) */
int sockopt_received(int fd);

/* Has the peer read everything? */
bool sockopt_all_read(int fd);

/* The number that the kernel gave this socket, and no other since it was booted. */
int sockopt_cookie(int fd, uint64_t *ret);

/* Pins the file that an AF_UNIX socket is bound to; one that was accepted has the file of the socket that listened. The
 * kernel goes by the inode, not by a path. Returns an O_PATH fd, the caller's, or -errno: -ENOENT without a file (an
 * abstract address, or none), -EPERM without CAP_NET_ADMIN where the socket's network namespace belongs, -ENOTTY before
 * Linux 4.11. */
int sockopt_bound_file(int fd);

/* Lets a blocking send wait for room no longer than this: then it ends with -EAGAIN, or with a part sent. */
int sockopt_limit_sending(int fd, uint64_t usec);

/* Raises the send buffer to what the system allows an unprivileged process. */
int sockopt_grow_send_buffer(int fd);

/* No unprivileged AF_UNIX socket of this system can send a packet of so many bytes, or more: asked of the
 * kernel through a socket of its own, because /proc/sys/net/core is hidden in a network namespace. */
size_t sockopt_packet_max(void);
