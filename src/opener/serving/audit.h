/* SPDX-License-Identifier: MIT
 *
 * The record in the journal for a file that was granted or refused to a client.
 */
#pragma once

#include "kernel/identity.h"
#include "opener/opening/opened.h"
#include "opener/policy/grant.h"
#include "record/record.h"

struct audit_entry {
	const char *file;	    /* its name in the policy, or what the client takes for one */
	const struct grant *grant;  /* NULL: there is none of that name */
	const struct identity *client;
	const struct opened *opened; /* NULL: the file itself was not looked at */
	bool granted;
	const char *reason;
};

/* Makes the record, which is dropped and counted if the journal does not take it. */
void audit_record(struct recorder *recorder, const struct audit_entry *entry);

/* Makes the record of what may happen only if there is one. False: the journal did not take it, and nothing is known
 * of it. */
bool audit_try(struct recorder *recorder, const struct audit_entry *entry);
