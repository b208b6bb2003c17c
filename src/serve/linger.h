/* SPDX-License-Identifier: MIT
 *
 * What stays of a connection that has ended while its client has descriptors unread: its socket, on which no word is
 * spoken any more. The kernel counts what is unread until the client has read it, or closed its end, and so does its
 * user's quota (limits/unread).
 *
 * It is a protocol of its own, by which the next porterd goes on with it.
 */
#pragma once

#include "serve/protocol.h"

extern const struct protocol linger_protocol;
