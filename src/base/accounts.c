/* SPDX-License-Identifier: MIT
 *
 * Names of the local account files.
 */
#include "base/accounts.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "base/number.h"

/* Beyond this a file is no account file that a search from its top would suit. */
#define FILE_MAX (4UL * 1024UL * 1024UL)

struct account_file {
	const char *path;
	char *text;
	size_t size;
	struct timespec changed;
	ino_t inode;
};

static struct account_file users = { .path = "/etc/passwd" };
static struct account_file groups = { .path = "/etc/group" };

static int load(struct account_file *file)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t size = 0;

	if (stat(file->path, &st) < 0)
		return -errno;
	if (file->text && st.st_ino == file->inode && (size_t)st.st_size == file->size &&
	    st.st_mtim.tv_sec == file->changed.tv_sec && st.st_mtim.tv_nsec == file->changed.tv_nsec)
		return 0;

	fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX)
		return -EFBIG;

	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (size < (size_t)st.st_size) {
		ssize_t got = read(fd, text + size, (size_t)st.st_size - size);

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	text[size] = '\0';

	free(file->text);
	file->text = TAKE_POINTER(text);
	file->size = size;
	file->changed = st.st_mtim;
	file->inode = st.st_ino;
	return 0;
}

/* The third field of the line that begins with the name: both files have their number there. */
static int find_number(const struct account_file *file, const char *name, uint32_t *ret)
{
	size_t length = strlen(name);
	const char *line = file->text;

	while (line && *line) {
		if (strncmp(line, name, length) == 0 && line[length] == ':') {
			const char *field = line + length + 1;

			field += strcspn(field, ":\n");
			if (*field != ':')
				return -EINVAL;
			field++;
			return number_parse_id(field, strcspn(field, ":\n"), ret);
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return -ENOENT;
}

static int find(struct account_file *file, const char *name, uint32_t *ret)
{
	int r;

	if (isdigit((unsigned char)name[0]))
		return number_parse_id(name, strlen(name), ret);
	if (name[0] == '\0' || strpbrk(name, ":\n"))
		return -EINVAL;

	r = load(file);
	return r < 0 ? r : find_number(file, name, ret);
}

int accounts_find_user(const char *name, uid_t *ret)
{
	return find(&users, name, ret);
}

int accounts_find_group(const char *name, gid_t *ret)
{
	return find(&groups, name, ret);
}
