/* SPDX-License-Identifier: MIT
 *
 * A journald that reads when the test wants it to.
 */
#include "tests/record/journal.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "kernel/sockio.h"
#include "kernel/sockopt.h"

void journal_start(struct journal *journal)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)stpcpy(address.sun_path, journal->path);
	journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(journal->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

void journal_stop(struct journal *journal)
{
	fd_close(TAKE_FD(journal->fd));
	(void)unlink(journal->path);
}

void journal_new(struct journal *journal)
{
	unit_make_directory(journal->directory);
	(void)snprintf(journal->path, sizeof(journal->path), "%s/socket", journal->directory);
	journal->fd = -EBADF;
}

void journal_remove(struct journal *journal)
{
	journal_stop(journal);
	ck_assert_int_eq(rmdir(journal->directory), 0);
}

/* Reads the native format as systemd documents it, and insists on every byte of it. */
static void entry_parse(struct entry *entry)
{
	const char *at = entry->data, *end = at + entry->size;

	entry->n_fields = 0;
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at)), *equals;
		size_t i = entry->n_fields++, name_size;

		ck_assert_ptr_nonnull(stop);
		ck_assert_uint_lt(i, FIELDS_MAX);
		equals = memchr(at, '=', (size_t)(stop - at));
		name_size = (size_t)((equals ? equals : stop) - at);
		ck_assert_uint_lt(name_size, sizeof(entry->fields[i].name));
		memcpy(entry->fields[i].name, at, name_size);
		entry->fields[i].name[name_size] = '\0';
		ck_assert_uint_eq(strspn(entry->fields[i].name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"), name_size);

		if (equals) {
			entry->fields[i].value = equals + 1;
			entry->fields[i].size = (size_t)(stop - equals) - 1;
		} else {
			uint64_t size = 0;

			ck_assert_int_ge(end - stop, 9);
			for (size_t n = 0; n < 8; n++)
				size |= (uint64_t)(unsigned char)stop[1 + n] << (8 * n);
			ck_assert_uint_lt(size, (size_t)(end - stop - 9));
			entry->fields[i].value = stop + 9;
			entry->fields[i].size = (size_t)size;
			stop = stop + 9 + entry->fields[i].size;
			ck_assert_int_eq(*stop, '\n');
		}
		at = stop + 1;
	}
}

bool journal_read(const struct journal *journal, struct entry **ret)
{
	size_t room = sockopt_packet_max();
	struct entry *entry = calloc(1, sizeof(*entry));
	struct fdset fds;
	ssize_t size;

	entry->data = malloc(room);
	size = sockio_receive_fds(journal->fd, entry->data, room, &fds, MSG_DONTWAIT);
	if (size < 0) {
		ck_assert_int_eq((int)size, -EAGAIN);
		free(entry->data);
		free(entry);
		return false;
	}

	entry->size = (size_t)size;
	entry->by_memfd = fds.count > 0;
	if (entry->by_memfd) {
		struct stat st;

		ck_assert_int_eq((int)size, 0);
		ck_assert_uint_eq(fds.count, 1);
		entry->seals = fcntl(fds.fds[0], F_GET_SEALS);
		ck_assert_int_lt((int)write(fds.fds[0], "x", 1), 0);
		ck_assert_int_eq(fstat(fds.fds[0], &st), 0);
		entry->size = (size_t)st.st_size;
		entry->data = realloc(entry->data, entry->size);
		ck_assert_int_eq((int)pread(fds.fds[0], entry->data, entry->size, 0), (int)entry->size);
		fdset_clear(&fds);
	}
	entry_parse(entry);
	*ret = entry;
	return true;
}

void entry_free(struct entry *entry)
{
	free(entry->data);
	free(entry);
}

void entry_assert_field(const struct entry *entry, const char *name, const void *value, size_t size)
{
	size_t found = 0;

	for (size_t i = 0; i < entry->n_fields; i++) {
		if (strcmp(entry->fields[i].name, name) != 0)
			continue;
		found++;
		ck_assert_uint_eq(entry->fields[i].size, size);
		ck_assert_mem_eq(entry->fields[i].value, value, size);
	}
	ck_assert_msg(found == 1, "%s= is there %zu times", name, found);
}

void entry_assert_text(const struct entry *entry, const char *name, const char *value)
{
	entry_assert_field(entry, name, value, strlen(value));
}

uint64_t entry_number(const struct entry *entry, const char *name)
{
	for (size_t i = 0; i < entry->n_fields; i++)
		if (strcmp(entry->fields[i].name, name) == 0)
			return strtoull(entry->fields[i].value, NULL, 10);
	ck_abort_msg("%s= is missing", name);
}
