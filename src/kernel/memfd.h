/* SPDX-License-Identifier: MIT
 *
 * Files in memory, to be handed to somebody who must be able to trust that they stay as they are.
 */
#pragma once

/* An anonymous file in memory, which can be sealed and, where the kernel knows how to say that, not executed.
 * Returns the fd, owned by the caller, or -errno. */
int memfd_new(const char *name);

/* Makes content and size final, for everybody and for good. */
int memfd_seal(int fd);
