/* SPDX-License-Identifier: MIT
 *
 * SIGINT and SIGTERM.
 */
#include "bench/interruption.h"

#include <signal.h>

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
	(void)number;
	signalled = 1;
}

void interruption_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

bool interrupted(void)
{
	return signalled;
}
