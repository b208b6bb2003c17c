/* SPDX-License-Identifier: MIT
 *
 * Answers to datagrams. A sender that does not read what it asked for must not hold up the others, so nothing
 * here waits: what finds no room is tried again for a moment, then dropped and counted.
 *
 * The kernel charges an unread datagram to the socket that sent it. Few lazy readers could so fill the send
 * buffer of the one socket that answers everybody. When it is half full, answers leave through a socket of
 * their own, without a source address, and the other half is kept for clients that take nothing but answers of
 * the socket they are connected to.
 */
#pragma once

#include <stddef.h>

#include "kernel/sockio.h"

struct answers;
struct population;

/* For answers through `fd`, which stays the caller's. */
int answers_new(struct answers **ret, struct population *population, int fd);
void answers_free(struct answers *answers);

/* Sends datagrams back to those who sent them, as answers_send() would one after the other; those without a size
 * (negative) are passed over. */
void answers_return(struct answers *answers, const struct sockio_datagram *datagrams, size_t count);

/* Sends, keeps for later, or drops and counts: also where there is no way back (kernel/return_address). */
void answers_send(struct answers *answers, const void *data, size_t size, const struct sockio_sender *to);
