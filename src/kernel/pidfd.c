/* SPDX-License-Identifier: MIT
 *
 * The ID of this process.
 */
#include "kernel/pidfd.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/macro.h"

/* linux/magic.h has it since Linux 6.9: all pidfds were one inode before, of another file system. */
#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446
#endif

int pidfd_own_id(uint64_t *ret)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct statfs file_system;
	struct stat status;

	if (fd < 0)
		return -errno;
	/* An inode number of a 32-bit kernel is only the lower half of the ID. */
	if (sizeof(long) < sizeof(*ret))
		return -EOPNOTSUPP;
	if (fstatfs(fd, &file_system) < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (file_system.f_type != PID_FS_MAGIC)
		return -EOPNOTSUPP;
	*ret = status.st_ino;
	return 0;
}
