/* SPDX-License-Identifier: MIT
 *
 * Files held by O_PATH before anything is done with them: a pinned inode can be looked at as long as one
 * likes, can't be exchanged for another, and is not opened, so a FIFO blocks nothing and a device does nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/number.h"

/* statx(2): a mount's number that no other one gets. Since Linux 6.8; the headers of Debian 12 lack it. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

/* Pins what is at the absolute `path`. Without `within` no symbolic link is followed anywhere on the way.
 * With it, a directory on the way to `path`, links below it are followed as long as they stay beneath it.
 * Magic links (/proc/PID/fd/N) are never followed. Returns the fd, owned by the caller; otherwise -errno of
 * openat2(2): -ELOOP for a link in the way, -EXDEV for one that leads out of `within`, -EINVAL if `path` is
 * not below `within`. */
int pin_open(const char *path, const char *within);

/* Pins the directory that holds `path`, by the same rules, and points *ret_name at the last component. */
int pin_open_parent(const char *path, const char *within, const char **ret_name);

/* Opens the pinned inode itself, whatever its path names by now. `flags` as of open(2); O_CLOEXEC is added.
 * Returns the fd, owned by the caller, or -errno. */
int pin_reopen(int pin, int flags);

/* The path at which the kernel sees the pinned inode now. -ENOENT if it has none that is reachable here, or has lost
 * the name by which it was pinned: what was read of the inode before (its links) is then of its other names. */
int pin_real_path(int pin, char *buffer, size_t size);

/* Waits until nobody is about to remove or rename what lies beside `path`, and it itself. 0 or -errno. */
int pin_settle(const char *path);

/* Writes the path that leads to an fd of this process: what system calls without an fd variant take. */
#define PIN_PROC_FDS "/proc/self/fd/"
#define PIN_PROC_PATH_SIZE (sizeof(PIN_PROC_FDS) + NUMBER_TEXT_SIZE)
void pin_proc_path(int fd, char buffer[static PIN_PROC_PATH_SIZE]);

/* Is it on a file system whose files are the kernel's controls rather than somebody's data (procfs, sysfs,
 * cgroups, ...)? 1 or 0; -errno if that can't be told. */
int pin_is_kernel_control(int fd);

/* Is it on a file system of this kernel's own, where the mode says all there is to say but for a POSIX access control
 * list? No for a server's files, whose other clients and lists the kernel does not know. As above. */
int pin_has_plain_modes(int fd);

enum pin_acl {
	PIN_ACL_NONE = 0,
	PIN_ACL_POSIX = 1, /* the mode's group bits are the most that anybody named in it has */
	PIN_ACL_NFS4 = 2,  /* the mode says nothing certain */
};

/* Does it have an access control list, so that its mode alone does not say who may do what? enum pin_acl, or
 * -errno. Works for O_PATH fds. */
int pin_has_acl(int fd);

/* Does the directory have a list that every file made in it inherits? 1, 0 or -errno. */
int pin_has_default_acl(int fd);

/* Called with an O_PATH fd of one directory, its status, and how much of the path leads to it. Not 0 ends the
 * walk. */
typedef int (*pin_visitor)(int directory, const struct stat *status, size_t length, void *data);

/* Visits every directory above the last component of the absolute `path`, from the root down, and follows no
 * link. Returns 0, what a visitor returned to end it, or -errno. As long as only root can write what was
 * visited, nobody else can exchange what comes next. */
int pin_walk(const char *path, pin_visitor visit, void *data);
