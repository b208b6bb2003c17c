/* SPDX-License-Identifier: MIT
 *
 * Is this daemon stopped to be started again? Its environment and SIGTERM tell nothing of that; systemd, asked over
 * D-Bus for the job of the unit, does.
 */
#pragma once

/* 1: yes; 0: no, it just stops; -errno: nobody can tell (no D-Bus, not started by systemd). Waits for the answer,
 * but not longer than a second or two. */
int restart_follows(void);
