/* SPDX-License-Identifier: MIT
 *
 * SIGINT and SIGTERM end a run early, and not before it has cleaned up.
 */
#pragma once

#include <stdbool.h>

/* From now on these signals set the flag, and SIGPIPE does nothing. */
void interruption_catch(void);

/* Was the run told to end? */
bool interrupted(void);
