/* SPDX-License-Identifier: MIT
 *
 * What is spoken on a socket of one type.
 */
#include "serve/protocol.h"

#include "kernel/sockopt.h"

void protocol_prepare(const struct protocol *protocol, int fd)
{
	if (protocol->attestation == PROTOCOL_ATTEST_PRESENCE)
		(void)sockopt_pass_credentials(fd);
	else if (protocol->attestation == PROTOCOL_ATTEST_SENDER)
		(void)sockopt_pass_attestation(fd);
}
