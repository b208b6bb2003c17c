/* SPDX-License-Identifier: MIT
 *
 * Connecting to a socket by the name that people give it.
 */
#pragma once

/* Connects to the AF_UNIX socket of `type` (SOCK_STREAM...) at `path`; a leading `@` names an abstract one. A
 * datagram socket is also bound, to a name that the kernel chooses, so that it can be answered.
 * Returns the fd, close-on-exec, the caller's; or -ENAMETOOLONG, -EINVAL (empty path), or as connect(). */
int address_connect(const char *path, int type);
