/* SPDX-License-Identifier: MIT
 *
 * The directory that a run has for itself.
 */
#include "bench/world.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/macro.h"

/* The kernel cuts it down to net.core.somaxconn. */
#define BACKLOG 65535

const char *world_remedy(const struct world *world, const char *program)
{
	if (program == world->porterd)
		return "Try: --porterd=PATH";
	if (program == world->opener)
		return "Try: --opener=PATH";
	return "It belongs beside porter-bench";
}

void world_path(const struct world *world, const char *name, char *buffer, size_t size)
{
	(void)snprintf(buffer, size, "%s/%s", world->directory, name);
}

void world_file_content(unsigned number, char content[static WORLD_FILE_CONTENT + 1])
{
	(void)snprintf(content, WORLD_FILE_CONTENT + 1, "content of file %06u\n\n", number % 1000000);
}

static int write_file(const struct world *world, const char *name, const char *text, mode_t mode)
{
	char path[256];
	_cleanup_close_ int fd = -EBADF;

	world_path(world, name, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode) < 0)
		return -errno;
	return 0;
}

static int make_directory(const struct world *world, const char *name)
{
	char path[256];

	world_path(world, name, path, sizeof(path));
	return mkdir(path, 0755) < 0 ? -errno : 0;
}

static int write_files(const struct world *world)
{
	_cleanup_free_ char *policy = NULL;
	size_t size;
	FILE *stream = open_memstream(&policy, &size);
	int r = 0;

	if (!stream)
		return -ENOMEM;
	for (unsigned i = 0; r >= 0 && i < WORLD_FILES; i++) {
		char name[32], content[WORLD_FILE_CONTENT + 1];

		(void)snprintf(name, sizeof(name), "files/%u", i);
		world_file_content(i, content);
		r = write_file(world, name, content, 0600);
		/* Read access alone would be refused as unsafe: the files belong to the client, who may write to them. */
		(void)fprintf(stream, "[bench-%u]\nPath=%s/files/%u\nAccess=read-write\nAllowUser=%u\n\n", i,
			      world->directory, i, (unsigned)geteuid());
	}
	if (fclose(stream) != 0)
		return -ENOMEM;
	return r < 0 ? r : write_file(world, "policy/files.conf", policy, 0644);
}

int world_open(struct world *world)
{
	static const char *const directories[] = { "files", "policy", "config" };
	const char *parent = getenv("TMPDIR");
	int r = 0;

	if (!parent || parent[0] != '/' || strlen(parent) > sizeof(world->directory) - 24)
		parent = "/tmp";
	(void)snprintf(world->directory, sizeof(world->directory), "%s/porterd-bench-XXXXXX", parent);
	if (!mkdtemp(world->directory)) {
		world->directory[0] = '\0';
		return -errno;
	}
	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(directories); i++)
		r = make_directory(world, directories[i]);
	if (r >= 0)
		r = write_files(world);
	if (r < 0)
		world_close(world);
	return r;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	(void)remove(path);
	return 0;
}

void world_close(struct world *world)
{
	if (world->directory[0])
		(void)nftw(world->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	world->directory[0] = '\0';
}

int world_write_config(const struct world *world, const char *text)
{
	return write_file(world, "config/porterd.conf", text, 0644);
}

int world_listen(struct world *world, int type, char *path, size_t size)
{
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[32];

	(void)snprintf(name, sizeof(name), "socket-%u", world->n_sockets++);
	world_path(world, name, path, size);
	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	(void)stpcpy(address.sun_path, path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (type != SOCK_DGRAM && listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}
