/* SPDX-License-Identifier: MIT
 *
 * Files in memory.
 */
#include "kernel/memfd.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/write_all.h"

/* Debian 12's headers don't have it. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int memfd_new(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	/* Kernels before 6.3 don't know MFD_NOEXEC_SEAL; with vm.memfd_noexec=2 later ones insist on it. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

ssize_t memfd_fill(int fd, int from, size_t max)
{
	char buffer[65536];
	size_t copied = 0;
	int r;

	for (;;) {
		ssize_t n = read(from, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0 || copied + (size_t)n > max)
			return (ssize_t)(copied + (size_t)n);
		r = write_all(fd, buffer, (size_t)n);
		if (r < 0)
			return r;
		copied += (size_t)n;
	}
}

static struct posix_acl_xattr_entry acl_entry(uint16_t tag, uint16_t permissions, uint32_t id)
{
	return (struct posix_acl_xattr_entry){ htole16(tag), htole16(permissions), htole32(id) };
}

/* An owner's mode would do for the reader alike, but to give a file away takes a capability. */
int memfd_restrict(int fd, uid_t reader)
{
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entries[5];
	} acl = {
		.header.a_version = htole32(POSIX_ACL_XATTR_VERSION),
		.entries = {
			acl_entry(ACL_USER_OBJ, ACL_READ, (uint32_t)ACL_UNDEFINED_ID),
			acl_entry(ACL_USER, ACL_READ, reader),
			acl_entry(ACL_GROUP_OBJ, 0, (uint32_t)ACL_UNDEFINED_ID),
			acl_entry(ACL_MASK, ACL_READ, (uint32_t)ACL_UNDEFINED_ID),
			acl_entry(ACL_OTHER, 0, (uint32_t)ACL_UNDEFINED_ID),
		},
	};
	mode_t mode = 0400;

	if (reader != geteuid()) {
		if (fsetxattr(fd, "system.posix_acl_access", &acl, sizeof(acl), 0) == 0)
			return 0;
		if (errno != EOPNOTSUPP)
			return -errno;
		mode = 0444;
	}
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

int memfd_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -errno : 0;
}
