/* SPDX-License-Identifier: MIT
 *
 * Is this daemon stopped to be started again? Its environment and SIGTERM tell nothing of that; systemd, asked over
 * D-Bus for the job of the unit, does.
 */
#pragma once

#include <stddef.h>

#include "base/clock.h"

/* How long an answer is waited for, in all. */
#define RESTART_ASK_USEC (1500 * USEC_PER_MSEC)

/* 1: yes, and *ret_room is how many descriptors systemd keeps for the next one; 0: no, it just stops, or nobody
 * would keep them: started by hand, it has no $NOTIFY_SOCKET; -errno: nobody
 * can tell (no D-Bus, not started by systemd, no answer in time). */
int restart_follows(size_t *ret_room);
