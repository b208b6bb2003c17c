/* SPDX-License-Identifier: MIT
 *
 * What is spoken: the protocols, and the interfaces that some of them serve.
 */
#pragma once

#include "serve/protocol.h"
#include "varlink/dispatch.h"

/* echo: bytes and messages come back. */
extern const struct protocol echo_stream_protocol;
extern const struct protocol echo_packet_protocol;
extern const struct protocol echo_datagram_protocol;

/* credentials: io.porterd.Credentials, one JSON object a message. */
extern const struct protocol credentials_packet_protocol;
extern const struct protocol credentials_datagram_protocol;

/* varlink: everything, on streams. */
extern const struct protocol varlink_stream_protocol;

/* What the protocols above serve. */
extern const struct varlink_interface credentials_interface;
extern const struct varlink_interface files_interface;
extern const struct varlink_service porterd_service;	   /* on streams */
extern const struct varlink_service porterd_packet_service; /* on packets */
