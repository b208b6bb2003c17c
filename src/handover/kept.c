/* SPDX-License-Identifier: MIT
 *
 * What the next porterd must know of a connection.
 */
#include "handover/kept.h"

#include "base/macro.h"
#include "base/write_all.h"
#include "kernel/fdset.h"

/* Another layout gets another name: after an upgrade the next porterd may be a different one. */
static const char magic[16] = "porterd-kept-2";

#define FLAG_UNSENT 1U

struct entry {
	uint64_t cookie;
	uint64_t unsent_size, unread_size; /* of what follows */
	uint32_t type;
	uint16_t flags, unread_descriptors;
	char name[16]; /* padded with NULs, of which there is one at least */
};

int kept_write_header(int fd)
{
	return write_all(fd, magic, sizeof(magic));
}

int kept_write(int fd, const struct kept *kept)
{
	const struct leftovers *left = &kept->leftovers;
	struct entry entry = {
		.cookie = kept->cookie,
		.unsent_size = left->unsent_size,
		.unread_size = left->unread_size,
		.type = (uint32_t)kept->type,
		.flags = left->has_unsent ? FLAG_UNSENT : 0,
		.unread_descriptors = (uint16_t)kept->unread_descriptors,
	};
	int r;

	if (strlen(kept->name) >= sizeof(entry.name))
		return -ENAMETOOLONG;
	(void)stpcpy(entry.name, kept->name);
	r = write_all(fd, &entry, sizeof(entry));
	if (r >= 0)
		r = write_all(fd, left->unsent, left->unsent_size);
	return r < 0 ? r : write_all(fd, left->unread, left->unread_size);
}

/* One entry off the front. 1, 0 at the end, or -EBADMSG. */
static int next_entry(const char **at, size_t *left, struct kept *ret)
{
	struct entry entry;
	const char *data = *at;

	if (*left == 0)
		return 0;
	if (*left < sizeof(entry))
		return -EBADMSG;
	memcpy(&entry, data, sizeof(entry));
	*left -= sizeof(entry);
	if (entry.unsent_size > *left || entry.unread_size > *left - entry.unsent_size ||
	    entry.type > INT32_MAX || entry.flags & ~FLAG_UNSENT || entry.unread_descriptors > FDSET_MAX ||
	    (entry.unsent_size > 0 && !(entry.flags & FLAG_UNSENT)) ||
	    !memchr(entry.name, '\0', sizeof(entry.name)))
		return -EBADMSG;

	*ret = (struct kept){
		.cookie = entry.cookie,
		.name = data + offsetof(struct entry, name),
		.type = (int)entry.type,
		.leftovers = {
			.has_unsent = entry.flags & FLAG_UNSENT,
			.unsent = data + sizeof(entry),
			.unsent_size = (size_t)entry.unsent_size,
			.unread = data + sizeof(entry) + entry.unsent_size,
			.unread_size = (size_t)entry.unread_size,
		},
		.unread_descriptors = entry.unread_descriptors,
	};
	*left -= ret->leftovers.unsent_size + ret->leftovers.unread_size;
	*at = ret->leftovers.unread + ret->leftovers.unread_size;
	return 1;
}

static int compare(const void *a, const void *b)
{
	const struct kept *one = a, *other = b;

	return one->cookie < other->cookie ? -1 : one->cookie > other->cookie;
}

int kept_list_parse(struct kept_list *list, const void *data, size_t size)
{
	const char *at = data;
	size_t room = MIN_OF(size / sizeof(struct entry), (size_t)KEPT_MAX);
	int r;

	*list = (struct kept_list){ 0 };
	if (size < sizeof(magic) || memcmp(at, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	at += sizeof(magic);
	size -= sizeof(magic);

	list->entries = calloc(room + 1, sizeof(*list->entries));
	if (!list->entries)
		return -ENOMEM;
	while ((r = next_entry(&at, &size, &list->entries[list->count])) > 0) {
		if (list->count == room) {
			r = -EBADMSG;
			break;
		}
		list->count++;
	}

	qsort(list->entries, list->count, sizeof(*list->entries), compare);
	for (size_t i = 1; r >= 0 && i < list->count; i++)
		if (list->entries[i].cookie == list->entries[i - 1].cookie)
			r = -EBADMSG;
	if (r < 0)
		kept_list_clear(list);
	return r;
}

void kept_list_clear(struct kept_list *list)
{
	free(list->entries);
	*list = (struct kept_list){ 0 };
}

const struct kept *kept_list_find(const struct kept_list *list, uint64_t cookie)
{
	struct kept key = { .cookie = cookie };

	return list->count == 0 ? NULL : bsearch(&key, list->entries, list->count, sizeof(key), compare);
}
