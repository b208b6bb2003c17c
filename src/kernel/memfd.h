/* SPDX-License-Identifier: MIT
 *
 * Files in memory, to be handed to somebody who must be able to trust that they stay as they are.
 */
#pragma once

#include <sys/types.h>

/* An anonymous file in memory, which can be sealed and, where the kernel knows how to say that, not executed.
 * Returns the fd, owned by the caller, or -errno. */
int memfd_new(const char *name);

/* Writes to it what is left to read of `from`, if that is no more than `max` bytes. Returns how many there were, more
 * than `max` if there are more, or -errno. */
ssize_t memfd_fill(int fd, int from, size_t max);

/* Lets one user read it, and nobody else: the user who made it stays the owner, `reader` has an entry of an access
 * control list, and the mode shows 0440. Programs that refuse keys which others may read look at that mode when they
 * open /proc/self/fd/N. With a `reader` who made it the mode is 0400, and where the kernel keeps no such lists 0444.
 * Returns 0 or -errno. */
int memfd_restrict(int fd, uid_t reader);

/* Makes content and size final, for everybody and for good. */
int memfd_seal(int fd);
