/* SPDX-License-Identifier: MIT
 *
 * How it is written down what the next porterd must know: the same comes out, and nothing else goes in.
 */
#include "handover/kept.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "kernel/memfd.h"
#include "tests/base/unit.h"

static const struct kept entries[] = {
	{ .cookie = 7, .name = "echo", .type = SOCK_STREAM, .leftovers = { .has_unsent = true, .unsent = "unsent", .unsent_size = 6 } },
	{ .cookie = 3, .name = "varlink", .type = SOCK_STREAM, .unread_descriptors = 253,
	  .leftovers = { .unread = "unread", .unread_size = 6 } },
	{ .cookie = UINT64_MAX, .name = "echo", .type = SOCK_SEQPACKET, .leftovers = { .has_unsent = true } },
	{ .cookie = 5, .name = "fifteen-letters", .type = 0,
	  .leftovers = { .has_unsent = true, .unsent = "a", .unsent_size = 1, .unread = "b", .unread_size = 1 } },
};

/* Where things are in the file. */
enum {
	HEADER = 16,
	ENTRY = 48,
	UNSENT_SIZE = 8,
	UNREAD_SIZE = 16,
	TYPE = 24,
	FLAGS = 28,
	UNREAD_DESCRIPTORS = 30,
	NAME = 32,
};

static char data[4096];

/* Writes these down; returns the size. */
static size_t write_down(const struct kept *kept, size_t count)
{
	int fd = memfd_new("test");
	ssize_t size;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(kept_write_header(fd), 0);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(kept_write(fd, &kept[i]), 0);
	size = pread(fd, data, sizeof(data), 0);
	ck_assert_int_gt(size, 0);
	fd_close(fd);
	return (size_t)size;
}

/* What was written down, with nothing behind it that could be read. */
static const void *with_its_end(size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(pages != MAP_FAILED && size <= page);
	ck_assert_int_eq(mprotect(pages + page, page, PROT_NONE), 0);
	return memcpy(pages + page - size, data, size);
}

START_TEST(the_same_comes_out)
{
	struct kept_list list;

	ck_assert_int_eq(kept_list_parse(&list, data, write_down(entries, ELEMENTSOF(entries))), 0);
	ck_assert_uint_eq(list.count, ELEMENTSOF(entries));
	for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
		const struct kept *in = &entries[i], *out = kept_list_find(&list, in->cookie);

		ck_assert_ptr_nonnull(out);
		ck_assert_str_eq(out->name, in->name);
		ck_assert_int_eq(out->type, in->type);
		ck_assert_int_eq(out->leftovers.has_unsent, in->leftovers.has_unsent);
		ck_assert_uint_eq(out->leftovers.unsent_size, in->leftovers.unsent_size);
		ck_assert_uint_eq(out->leftovers.unread_size, in->leftovers.unread_size);
		ck_assert_uint_eq(out->unread_descriptors, in->unread_descriptors);
		ck_assert(in->leftovers.unsent_size == 0 || memcmp(out->leftovers.unsent, in->leftovers.unsent, in->leftovers.unsent_size) == 0);
		ck_assert(in->leftovers.unread_size == 0 || memcmp(out->leftovers.unread, in->leftovers.unread, in->leftovers.unread_size) == 0);
	}
	ck_assert_ptr_null(kept_list_find(&list, 4));
	kept_list_clear(&list);
}
END_TEST

START_TEST(an_empty_list_has_nobody)
{
	struct kept_list list;

	ck_assert_int_eq(kept_list_parse(&list, data, write_down(NULL, 0)), 0);
	ck_assert_uint_eq(list.count, 0);
	ck_assert_ptr_null(kept_list_find(&list, 0));
	kept_list_clear(&list);
	ck_assert_ptr_null(kept_list_find(&(struct kept_list){ 0 }, 0));
}
END_TEST

/* Only at the ends of entries is it whole. */
START_TEST(a_cut_file_is_refused)
{
	size_t size = write_down(entries, 2);
	const size_t whole[] = { HEADER, HEADER + ENTRY + 6, HEADER + 2 * (ENTRY + 6) };

	ck_assert_uint_eq(size, whole[2]);
	for (size_t cut = 0; cut <= size; cut++) {
		struct kept_list list;
		bool complete = cut == whole[0] || cut == whole[1] || cut == whole[2];

		ck_assert_int_eq(kept_list_parse(&list, with_its_end(cut), cut), complete ? 0 : -EBADMSG);
		kept_list_clear(&list);
	}
}
END_TEST

static void put(size_t at, uint64_t value, size_t size)
{
	const uint32_t four = (uint32_t)value;
	const uint16_t two = (uint16_t)value;

	memcpy(data + HEADER + at, size == 8 ? (const void *)&value : size == 4 ? (const void *)&four : &two, size);
}

START_TEST(what_nobody_writes_is_refused)
{
	size_t size = write_down(entries, 1);
	struct kept_list list;

	switch (_i) {
	case 0:
		data[13] = '1';
		break;
	case 1:
		put(UNSENT_SIZE, 7, 8);
		break;
	case 2:
		put(UNREAD_SIZE, 1, 8);
		break;
	case 3:
		/* Together they would be what is there, in 64 bits. */
		put(UNSENT_SIZE, UINT64_MAX, 8);
		put(UNREAD_SIZE, 7, 8);
		break;
	case 4:
		put(TYPE, UINT32_MAX, 4);
		break;
	case 5:
		put(FLAGS, 3, 2);
		break;
	case 6:
		put(FLAGS, 0, 2);
		break;
	case 7:
		put(UNREAD_DESCRIPTORS, 254, 2);
		break;
	default:
		memset(data + HEADER + NAME, 'x', 16);
		break;
	}
	ck_assert_int_eq(kept_list_parse(&list, with_its_end(size), size), -EBADMSG);
	ck_assert_ptr_null(list.entries);
}
END_TEST

START_TEST(a_socket_is_told_of_once)
{
	const struct kept twice[] = { entries[0], entries[1], entries[0] };
	struct kept_list list;

	ck_assert_int_eq(kept_list_parse(&list, data, write_down(twice, ELEMENTSOF(twice))), -EBADMSG);
}
END_TEST

START_TEST(a_name_has_to_fit)
{
	struct kept kept = { .name = "sixteen-letters-" };
	int fd = memfd_new("test");

	ck_assert_int_eq(kept_write(fd, &kept), -ENAMETOOLONG);
	fd_close(fd);
}
END_TEST

START_TEST(a_full_file_system_is_an_error)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		unit_skip("there is no /dev/full");
	ck_assert_int_eq(kept_write_header(fd), -ENOSPC);
	fd_close(fd);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(the_same_comes_out),
		UNIT_TEST(an_empty_list_has_nobody),
		UNIT_TEST(a_cut_file_is_refused),
		UNIT_LOOP(what_nobody_writes_is_refused, 9),
		UNIT_TEST(a_socket_is_told_of_once),
		UNIT_TEST(a_name_has_to_fit),
		UNIT_TEST(a_full_file_system_is_an_error),
		{ 0 },
	};

	return unit_run("kept", tests, NULL);
}
