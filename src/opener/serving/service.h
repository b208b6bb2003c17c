/* SPDX-License-Identifier: MIT
 *
 * What requests are served from, and what is counted meanwhile.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "opener/deciding/clients.h"
#include "opener/opening/copies.h"
#include "opener/opening/places.h"
#include "opener/policy/policy.h"
#include "opener/serving/refusals.h"
#include "record/record.h"

struct request_service {
	const struct policy *policy;
	struct recorder *recorder;
	struct clients *clients;
	struct copies *copies;
	struct known_mount mount;
	struct refusals *refusals;
	const char *const *sockets; /* where clients connect, as of client_read() */
	struct ucred asker; /* whose request is served: set before each; pid 0: not known */
	uint64_t requests; /* of any kind */
	uint64_t granted;  /* files */
	uint64_t refused;  /* files */
	uint64_t unrecorded; /* requests that were refused because the journal did not take a record */
	size_t connections;  /* of porterd */
	struct complaint repeating; /* what may come again and again */
};
