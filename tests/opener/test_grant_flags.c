/* SPDX-License-Identifier: MIT
 *
 * Each line that a grant may have, alone, from the text of the policy to the flags of the descriptor: it carries what
 * the line says and nothing more.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "open_fixture.h"
#include "policy_fixture.h"

#define CONTENT "content"
#define WITHIN "Within="

enum found {
	FILE_THERE, /* holds CONTENT */
	NOTHING,
	DEVICE, /* the null device */
	SOCKET,
	LINK, /* to a file that holds CONTENT, below the test's directory */
};

static const struct row {
	const char *lines; /* "Within=" gets the test's directory */
	enum found place;
	int flags;
	mode_t mode; /* of a file that is made */
	bool is_copy;
	bool is_unsafe; /* everybody could write to the null device by a descriptor for reading */
} rows[] = {
	{ "", FILE_THERE, .flags = O_RDONLY },
	{ "Access=read\n", FILE_THERE, .flags = O_RDONLY },
	{ "Access=write\n", FILE_THERE, .flags = O_WRONLY },
	{ "Access=read-write\n", FILE_THERE, .flags = O_RDWR },
	{ "Access=append\n", FILE_THERE, .flags = O_WRONLY | O_APPEND },
	{ "Type=regular\n", FILE_THERE, .flags = O_RDONLY },
	{ "Type=device\n", DEVICE, .is_unsafe = true },
	{ "Type=device\nAccess=write\n", DEVICE, .flags = O_WRONLY },
	{ "Type=device\nAccess=read-write\n", DEVICE, .flags = O_RDWR },
	{ "Type=device\nAccess=append\n", DEVICE, .flags = O_WRONLY | O_APPEND },
	{ "Type=socket\n", SOCKET, .flags = O_RDWR },
	{ "Deliver=descriptor\n", FILE_THERE, .flags = O_RDONLY },
	{ "Deliver=copy\n", FILE_THERE, .flags = O_RDONLY, .is_copy = true },
	{ WITHIN, LINK, .flags = O_RDONLY },
	{ WITHIN, FILE_THERE, .flags = O_RDONLY },
	{ "Create=no\nAccess=write\n", FILE_THERE, .flags = O_WRONLY },
	{ "Create=yes\nAccess=write\n", FILE_THERE, .flags = O_WRONLY },
	{ "Create=yes\nAccess=write\n", NOTHING, .flags = O_WRONLY, .mode = 0600 },
	{ "Create=yes\nAccess=append\n", NOTHING, .flags = O_WRONLY | O_APPEND, .mode = 0600 },
	{ "Create=yes\nAccess=read-write\n", NOTHING, .flags = O_RDWR, .mode = 0600 },
	{ "Create=yes\nAccess=write\nMode=0640\n", NOTHING, .flags = O_WRONLY, .mode = 0640 },
	{ "Create=yes\nAccess=write\nMode=0\n", NOTHING, .flags = O_WRONLY, .mode = 0 },
};

static void prepare(enum found place)
{
	if (place == FILE_THERE)
		fixture_write("file", CONTENT, 0644);
	else if (place == SOCKET)
		(void)fixture_listen("file", SOCK_STREAM);
	else if (place == LINK) {
		fixture_write("other", CONTENT, 0644);
		ck_assert_int_eq(symlink("other", fixture_path("file")), 0);
	}
}

static const struct grant *load_row(const struct row *row)
{
	bool within = strcmp(row->lines, WITHIN) == 0;
	char text[4096];

	(void)snprintf(text, sizeof(text), "[x]\nPath=%s\n%s%s%s" ME,
		       row->place == DEVICE ? "/dev/null" : fixture_path("file"), row->lines,
		       within ? fixture_directory : "", within ? "\n" : "");
	fixture_write("files.conf", text, 0644);
	load();
	ck_no_errors();
	return policy_find(policy, "x");
}

/* Nothing was cut off, and what was made is as Mode= says, whatever the umask. */
static void ck_file(const struct row *row)
{
	struct stat status;

	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	if (row->place == DEVICE)
		ck_assert(S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3));
	else if (row->place == SOCKET)
		ck_assert(S_ISSOCK(status.st_mode));
	else
		ck_assert_int_eq(status.st_size, row->place == NOTHING ? 0 : (off_t)strlen(CONTENT));
	if (row->place == NOTHING)
		ck_assert_uint_eq(status.st_mode & 07777, row->mode);
}

/* What fcntl() tells of an open() without any of them (O_LARGEFILE, whose number is hidden). */
static int plain_flags(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), flags = fcntl(fd, F_GETFL);

	(void)close(fd);
	return flags;
}

START_TEST(alone)
{
	const struct row *row = &rows[_i];
	const struct grant *grant;
	int flags, seals;

	prepare(row->place);
	grant = load_row(row);
	ck_assert_ptr_nonnull(grant);
	(void)umask(0777);
	ck_assert_msg(open_for(grant, STRANGER) == (row->is_unsafe ? OPENER_UNSAFE_MODE : OPENER_OK), "%s: %s",
		      row->lines, opened.reason);
	if (row->is_unsafe)
		return;

	/* Not to follow links was for the opening alone, and is of no use to who has the descriptor. */
	flags = fcntl(opened.fd, F_GETFL) & ~O_NOFOLLOW & ~(plain_flags() & ~O_ACCMODE);
	ck_assert_msg(flags == row->flags, "%s: flags %#o, not %#o", row->lines, (unsigned)flags, (unsigned)row->flags);
	ck_assert_int_eq(fcntl(opened.fd, F_GETFD), FD_CLOEXEC);
	/* A file of tmpfs has a seal, too: the one against further seals. */
	seals = fcntl(opened.fd, F_GET_SEALS);
	ck_assert_msg(row->is_copy == (seals > 0 && (seals & F_SEAL_WRITE)), "%s: seals %#x", row->lines,
		      (unsigned)seals);
	ck_file(row);
}
END_TEST

static void teardown(void)
{
	opened_clear(&opened);
	policy_teardown();
}

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(alone, ELEMENTSOF(rows)),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("grant_flags", tests, &(struct unit_around){ open_setup, teardown, 60 });
}
