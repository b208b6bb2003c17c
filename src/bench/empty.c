/* SPDX-License-Identifier: MIT
 *
 * A program that takes its sockets, says that it is ready, and waits for its end: what porterd's start is measured
 * against.
 */
#include <systemd/sd-daemon.h>
#include <unistd.h>

int main(void)
{
	if (sd_listen_fds(1) < 1)
		return 1;
	(void)sd_notify(0, "READY=1");
	for (;;)
		(void)pause();
}
