/* SPDX-License-Identifier: MIT
 *
 * Which interfaces are served on streams, and which on packets.
 */
#include "services/protocols.h"

const struct varlink_service porterd_service = {
	.vendor = "porterd",
	.product = "porterd",
	.version = PACKAGE_VERSION,
	.url = "man:porterd(8)",
	.interfaces =
		(const struct varlink_interface *const[]){
			&varlink_service_interface,
			&credentials_interface,
			&files_interface,
			NULL,
		},
};

const struct varlink_service porterd_packet_service = {
	.interfaces = (const struct varlink_interface *const[]){ &credentials_interface, NULL },
};
