/* SPDX-License-Identifier: MIT
 *
 * What porterd counts. The one table of it: a name here is a line of the status, and nothing else has to be added.
 */
#pragma once

#include <stdint.h>

#define COUNTS(COUNT)                                                                                   \
	COUNT(CONNECTIONS, "connections")	  /* that are open */                                   \
	COUNT(ACCEPTED, "accepted")		  /* connections, since the start */                    \
	COUNT(REQUESTS, "requests")		  /* Varlink calls, and what is echoed or answered */   \
	COUNT(MALFORMED, "malformed")		  /* connections closed for a malformed message */      \
	COUNT(UNBOUND, "unbound")		  /* datagrams from a sender without an address */      \
	COUNT(UNATTESTED, "unattested")		  /* datagrams without credentials */                   \
	COUNT(UNDELIVERABLE, "undeliverable")	  /* answers to datagrams that were not taken */        \
	COUNT(UNWRITABLE, "unwritable")		  /* answers to sockets that porterd may not write to */ \
	COUNT(OVERSIZED, "oversized")		  /* packets too large to be sent back */               \
	COUNT(OVER_QUOTA, "over-quota")		  /* refused: as much as one user may have */           \
	COUNT(LATE, "late")			  /* connections closed that kept porterd waiting */    \
	COUNT(DROPPED_RECORDS, "dropped-records") /* that the journal did not take */

enum count {
#define COUNT_ENTRY(name, text) COUNT_##name,
	COUNTS(COUNT_ENTRY)
#undef COUNT_ENTRY
	COUNT_KINDS,
};

struct counts {
	uint64_t of[COUNT_KINDS];
};
