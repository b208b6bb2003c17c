/* SPDX-License-Identifier: MIT
 *
 * The descriptors that a service manager hands over ($LISTEN_FDS and what belongs to it).
 *
 * sd_listen_fds(3) says "invalid argument" for whatever is wrong with them; who starts a program by hand, or by another
 * manager, needs to know which variable has what.
 */
#pragma once

#include <systemd/sd-daemon.h>

#include "base/macro.h"

#define LISTEN_FDS_ERROR_SIZE 256

/* Returns how many there are, from SD_LISTEN_FDS_START on, and sets them close-on-exec and the variables aside. *ret_names
 * is as many names, for listen_fds_free_names(). -ENODATA: there are none for this process; -EINVAL: what is wrong is in
 * `error`; -ENOMEM. */
int listen_fds_take(char ***ret_names, char error[static LISTEN_FDS_ERROR_SIZE]);

/* NULL is none. */
void listen_fds_free_names(char **names);
DEFINE_CLEANUP(char **, cleanup_listen_names, listen_fds_free_names)
