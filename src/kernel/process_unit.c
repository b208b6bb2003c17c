/* SPDX-License-Identifier: MIT
 *
 * The systemd unit that a process belongs to.
 */
#include "kernel/process_unit.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/unit_name.h"
#include "kernel/host.h"


/* How the lines begin of the hierarchies that systemd may have its units in: the unified one, or, behind a number,
 * one of its own. */
static const char *const hierarchies[] = { "0::", ":name=systemd:" };

/* The path in that hierarchy, up to the end of its line. NULL if there is none. */
static const char *find_path(const char *text, const char *hierarchy)
{
	size_t length = strlen(hierarchy);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *start = line;

		if (hierarchy[0] == ':')
			start += strspn(line, "0123456789");
		if (strncmp(start, hierarchy, length) == 0 && start[length] == '/')
			return start + length;
	}
	return NULL;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
	size_t end_length = strlen(end);

	return length >= end_length && memcmp(text + length - end_length, end, end_length) == 0;
}

/* systemd puts itself into a unit, so the hierarchy in which PID 1 is in init.scope is the one. What stands before
 * that stands before all units: nothing, but in a container that sees the host's cgroups. */
static const char *find_hierarchy(const char *of_first, const char **ret_root, size_t *ret_root_length)
{
	for (size_t i = 0; i < ELEMENTSOF(hierarchies); i++) {
		const char *path = find_path(of_first, hierarchies[i]);
		size_t length = path ? strcspn(path, "\n") : 0;

		if (!ends_with(path, length, "/init.scope"))
			continue;
		*ret_root = path;
		*ret_root_length = length - strlen("/init.scope");
		return hierarchies[i];
	}
	return NULL;
}

/* Where in `of` the unit's part of the path begins, *ret_length long: the first that is no slice. NULL: in no unit.
 * *ret_hierarchy is where systemd has its units, *ret_path the whole path there. */
static const char *find_unit(const char *of, const char *of_first, const char **ret_hierarchy, const char **ret_path,
			     size_t *ret_length)
{
	size_t skip = 0, length;
	const char *root = NULL, *hierarchy = find_hierarchy(of_first, &root, &skip);
	const char *path = hierarchy ? find_path(of, hierarchy) : NULL, *part = path;

	if (!part)
		return NULL;
	if (strncmp(part, root, skip) == 0 && part[skip] == '/')
		part += skip;

	for (;; part += length) {
		part += strspn(part, "/");
		length = strcspn(part, "/\n");
		if (!ends_with(part, length, ".slice"))
			break;
	}
	*ret_hierarchy = hierarchy;
	*ret_path = path;
	*ret_length = length;
	return part;
}

int process_unit_of_cgroup(const char *of, const char *of_first, char **ret)
{
	const char *hierarchy, *path;
	size_t length;
	const char *part = find_unit(of, of_first, &hierarchy, &path, &length);

	if (!part)
		return -ENXIO;
	/* Names that the kernel has for itself are escaped. */
	if (part[0] == '_')
		part++, length--;
	if (!unit_name_is_valid(part, length))
		return -ENXIO;
	*ret = strndup(part, length);
	return *ret ? 0 : -ENOMEM;
}

int process_cgroup_open(pid_t pid)
{
	char path[sizeof("/proc/-2147483648/cgroup")];

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return host_open(path, O_RDONLY);
}

/* The kernel makes the text anew for each read from its beginning on, and gives as much of it as there is room for. */
int process_cgroup_read(int fd, char text[static PROCESS_CGROUP_SIZE])
{
	ssize_t size = pread(fd, text, PROCESS_CGROUP_SIZE - 1, 0);

	if (size < 0)
		return -errno;
	text[size] = '\0';
	return 0;
}

static int read_cgroup(pid_t pid, char text[static PROCESS_CGROUP_SIZE])
{
	_cleanup_close_ int fd = process_cgroup_open(pid);

	return fd < 0 ? fd : process_cgroup_read(fd, text);
}

int process_cgroup_unit(const char *text, char **ret, enum process_units *ret_where)
{
	char of_first[PROCESS_CGROUP_SIZE];
	const char *root, *hierarchy;
	size_t length;
	int r = read_cgroup(1, of_first);

	if (r < 0)
		return r;
	hierarchy = find_hierarchy(of_first, &root, &length);
	if (!hierarchy)
		*ret_where = PROCESS_UNITS_NONE;
	else
		*ret_where = hierarchy == hierarchies[0] ? PROCESS_UNITS_UNIFIED : PROCESS_UNITS_NAMED;
	return process_unit_of_cgroup(text, of_first, ret);
}

int process_slice_open(char **ret_unit)
{
	/* Where there are several hierarchies the unified one, if it is there, stands beside the others. */
	static const char *const mounts[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	char of[PROCESS_CGROUP_SIZE], of_first[PROCESS_CGROUP_SIZE], slice[PROCESS_CGROUP_SIZE + 32];
	const char *hierarchy, *path, *part;
	size_t length;
	int fd = -EBADF, r = read_cgroup(getpid(), of);

	if (r >= 0)
		r = read_cgroup(1, of_first);
	if (r < 0)
		return r;
	part = find_unit(of, of_first, &hierarchy, &path, &length);
	if (!part)
		return -ENXIO;

	for (size_t i = 0; i < ELEMENTSOF(mounts); i++) {
		(void)snprintf(slice, sizeof(slice), "%s%.*s",
			       hierarchy == hierarchies[0] ? mounts[i] : "/sys/fs/cgroup/systemd", (int)(part - path), path);
		fd = open(slice, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			break;
	}
	if (fd < 0)
		return -errno;
	r = process_unit_of_cgroup(of, of_first, ret_unit);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return fd;
}

int process_unit(pid_t pid, char **ret)
{
	char of[PROCESS_CGROUP_SIZE];
	enum process_units where;
	int r = read_cgroup(pid, of);

	return r < 0 ? r : process_cgroup_unit(of, ret, &where);
}

/* linux/pidfd.h of Linux 6.13, as far as it goes here. */
#define INFO_CGROUPID (UINT64_C(1) << 2)
struct info {
	uint64_t mask, cgroupid;
	uint32_t ids[11];
	int32_t exit_code;
};
_Static_assert(sizeof(struct info) == 64, "PIDFD_INFO_SIZE_VER0");
#define GET_INFO _IOWR(0xff, 11, struct info)

int process_cgroup_number(int pidfd, uint64_t *ret)
{
	struct info info = { .mask = INFO_CGROUPID };

	if (ioctl(pidfd, GET_INFO, &info) < 0)
		return -errno;
	*ret = info.cgroupid;
	return info.mask & INFO_CGROUPID ? 0 : -ENODATA;
}
