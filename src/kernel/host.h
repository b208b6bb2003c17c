/* SPDX-License-Identifier: MIT
 *
 * The host's files, seen from a service's own view of the file system. A unit that hides what the service does not
 * need (ProtectHome=, PrivateTmp=, ProtectProc=, ...) may bind the host's whole tree to one directory of that view.
 * Paths that mean the host's files are then looked up beneath it, and everything else stays hidden.
 *
 * That directory is one for the process, as its root directory is. It is named once, at start; until then, and
 * where nobody names one, the host's tree is the one that the process sees.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* By which a unit tells its service the directory. */
#define HOST_ROOT_VARIABLE "PORTERD_HOST_ROOT"

/* Names the directory. Returns 0 or -errno: -EBUSY if one was named already. */
int host_enter(const char *directory);

/* Opens what the absolute `path` leads to on the host, for O_PATH alone. `flags` as of open(2), `resolve_flags` as
 * of openat2(2). Returns the fd, owned by the caller, or -errno. */
int host_pin(const char *path, uint64_t flags, uint64_t resolve_flags);

/* As host_pin(), from the directory on. Where that lies beneath the host's tree, so does what is found. */
int host_pin_at(int directory, const char *path, uint64_t flags, uint64_t resolve_flags);

/* Opens the absolute `path` of the host's as open(2) does, links and all; O_CLOEXEC is added. Without openat2(2), or
 * for more than O_PATH, absolute links beneath the directory lead to what the process itself sees. Returns the fd,
 * owned by the caller, or -errno. */
int host_open(const char *path, int flags);

/* What lstat(2) says of an absolute path of the host's that has no links on its way. 0 or -errno. */
struct stat;
int host_status(const char *path, struct stat *ret);

/* Has what is at such a path an extended attribute of that name? 1, 0 or -errno. */
int host_has_attribute(const char *path, const char *name);

/* The path that the process sees, as the host sees it: its part below the directory, or the same where it is not
 * below it. Points into `path` or to "/". */
const char *host_path(const char *path);
