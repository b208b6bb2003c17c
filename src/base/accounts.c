/* SPDX-License-Identifier: MIT
 *
 * Names of the local account files.
 */
#include "base/accounts.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "base/number.h"

/* Beyond this a file is no account file that is read whole. */
#define FILE_MAX (4UL * 1024UL * 1024UL)

/* A line that has a name. */
struct account {
	const char *name;
	size_t length;
	bool valid; /* it has a number */
	uint32_t number;
};

struct account_file {
	const char *path;
	char *text;
	size_t size;
	struct account *accounts; /* by name, and of one name by their place in the file */
	size_t count;
	struct timespec changed;
	ino_t inode;
};

static struct account_file users = { .path = "/etc/passwd" };
static struct account_file groups = { .path = "/etc/group" };

/* As strcmp() for names that end with their length. */
static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, MIN_OF(a_length, b_length));

	return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_accounts(const void *a, const void *b)
{
	const struct account *one = a, *other = b;
	int order = compare_names(one->name, one->length, other->name, other->length);

	return order != 0 ? order : (one->name > other->name) - (one->name < other->name);
}

/* The third field of the line, whose first is the name: both files have their number there. */
static struct account read_line(const char *line, size_t length)
{
	struct account account = { .name = line, .length = length };
	const char *field = line + length + 1;

	field += strcspn(field, ":\n");
	if (*field == ':') {
		field++;
		account.valid = number_parse_id(field, strcspn(field, ":\n"), &account.number) >= 0;
	}
	return account;
}

/* Those of the text, in their order. Returns how many there are; `accounts` may be NULL. */
static size_t read_lines(const char *text, struct account *accounts)
{
	size_t count = 0;

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t length = strcspn(line, ":\n");

		if (line[length] != ':')
			continue;
		if (accounts)
			accounts[count] = read_line(line, length);
		count++;
	}
	return count;
}

static int take_text(struct account_file *file, char **text)
{
	size_t count = read_lines(*text, NULL);
	struct account *accounts = calloc(count + 1, sizeof(*accounts));

	if (!accounts)
		return -ENOMEM;
	(void)read_lines(*text, accounts);
	qsort(accounts, count, sizeof(*accounts), compare_accounts);
	free(file->accounts);
	free(file->text);
	file->accounts = accounts;
	file->count = count;
	file->text = TAKE_POINTER(*text);
	return 0;
}

static int load(struct account_file *file)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t size = 0;
	int r;

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

	r = take_text(file, &text);
	if (r < 0)
		return r;
	file->size = size;
	file->changed = st.st_mtim;
	file->inode = st.st_ino;
	return 0;
}

/* The first of its name. */
static int find_name(const struct account_file *file, const char *name, uint32_t *ret)
{
	size_t length = strlen(name), begin = 0, end = file->count;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;
		const struct account *account = &file->accounts[middle];

		if (compare_names(account->name, account->length, name, length) < 0)
			begin = middle + 1;
		else
			end = middle;
	}
	if (begin == file->count ||
	    compare_names(file->accounts[begin].name, file->accounts[begin].length, name, length) != 0)
		return -ENOENT;
	if (!file->accounts[begin].valid)
		return -EINVAL;
	*ret = file->accounts[begin].number;
	return 0;
}

/* `loaded` is what loading the file came to, 1: it was not tried yet. */
static int find(struct account_file *file, const char *name, int *loaded, uint32_t *ret)
{
	if (isdigit((unsigned char)name[0]))
		return number_parse_id(name, strlen(name), ret);
	if (name[0] == '\0' || strpbrk(name, ":\n"))
		return -EINVAL;

	if (*loaded > 0)
		*loaded = load(file);
	return *loaded < 0 ? *loaded : find_name(file, name, ret);
}

static void find_all(struct account_file *file, const char *const *names, size_t count, uint32_t *ret)
{
	int loaded = 1;

	for (size_t i = 0; i < count; i++)
		if (find(file, names[i], &loaded, &ret[i]) < 0)
			ret[i] = (uint32_t)-1;
}

void accounts_find_users(const char *const *names, size_t count, uid_t *ret)
{
	find_all(&users, names, count, ret);
}

void accounts_find_groups(const char *const *names, size_t count, gid_t *ret)
{
	find_all(&groups, names, count, ret);
}
