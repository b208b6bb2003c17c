/* SPDX-License-Identifier: MIT
 *
 * How fast one user's refusals are recorded. Everybody may ask for what nobody has granted to them, as fast as they
 * can; without a bound their records would push those of others out of the journal, and take the opener's time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "record/record.h"

/* So many of one user are recorded at once, and of what comes later so many a second. */
#define REFUSALS_BURST 1000
#define REFUSALS_PER_SECOND 20
/* Users who are told apart; whoever comes while there are so many shares one user's part with others like that. */
#define REFUSALS_USERS 64

/* All zero is a user of whom nothing is known. */
struct refused_user {
	uid_t uid;
	uint64_t full_usec; /* when a whole burst may be recorded again */
	uint64_t untold;    /* refusals that were not recorded, and not told yet */
};

/* All zero at first. */
struct refusals {
	struct refused_user users[REFUSALS_USERS];
	struct refused_user others; /* and of clients whom nobody knows */
};

/* The user's entry, valid until the next is looked for. `now_usec` is of CLOCK_MONOTONIC. */
struct refused_user *refusals_find(struct refusals *refusals, uid_t uid, uint64_t now_usec);

/* May another refusal of this user be recorded? If not, it counts as untold. */
bool refused_user_may_record(struct refused_user *user, uint64_t now_usec);

/* It was. */
void refused_user_recorded(struct refused_user *user, uint64_t now_usec);

/* Tells how many were not recorded, a record for each user. False if the journal does not take them now. */
bool refusals_tell(struct refusals *refusals, struct recorder *recorder);
