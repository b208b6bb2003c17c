/* SPDX-License-Identifier: MIT
 *
 * Pinning: what is followed and what is not, and that a pinned inode stays the same.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/macro.h"
#include "kernel/memfd.h"
#include "kernel/pin.h"
#include "tests/opener/fixture.h"

static void setup(void)
{
	fixture_setup();
	fixture_write("a/b/file", "content", 0644);
	fixture_write("outside", "outside", 0644);
	ck_assert_int_eq(symlink("file", fixture_path("a/b/link")), 0);
	ck_assert_int_eq(symlink("../b/file", fixture_path("a/b/up")), 0);
	ck_assert_int_eq(symlink("../../outside", fixture_path("a/b/out")), 0);
	ck_assert_int_eq(symlink(fixture_path("a/b/file"), fixture_path("a/b/absolute")), 0);
	ck_assert_int_eq(symlink("nothing", fixture_path("a/b/dangling")), 0);
	ck_assert_int_eq(symlink("b", fixture_path("a/dir")), 0);
	ck_assert_int_eq(symlink("a", fixture_path("c")), 0);
	ck_assert_int_eq(symlink("/proc/self/cwd", fixture_path("a/magic")), 0);
	ck_assert_int_eq(mkfifo(fixture_path("a/fifo"), 0666), 0);
}

static const struct {
	const char *path, *within; /* below the test's directory, unless absolute */
	int result;		   /* 0 for any fd */
} cases[] = {
	{ "a/b/file", NULL, 0 },
	{ "a/b", NULL, 0 },
	{ "a/fifo", NULL, 0 },
	{ "a/b/link", NULL, -ELOOP },
	{ "a/dir/file", NULL, -ELOOP },
	{ "c/b/file", NULL, -ELOOP },
	{ "a/b/none", NULL, -ENOENT },
	{ "a/none/file", NULL, -ENOENT },
	{ "a/b/file/x", NULL, -ENOTDIR },
	{ "/proc/self/cwd", NULL, -ELOOP },
	{ "relative", "", -EINVAL },
	{ "a/b/file", "a", 0 },
	{ "a/b/file", "a/b", 0 },
	{ "a/b/link", "a", 0 },
	{ "a/b/up", "a", 0 },
	{ "a/b/up", "a/b", -EXDEV },
	{ "a/b/out", "a", -EXDEV },
	{ "a/b/absolute", "a", -EXDEV },
	{ "a/b/dangling", "a", -ENOENT },
	{ "a/dir/file", "a", 0 },
	{ "c/b/file", "c", -ENOTDIR }, /* a link in Within= itself: O_DIRECTORY asks first */
	{ "a/magic", "a", -EXDEV },
	{ "a/fifo", "a", 0 },
	{ "a/b/file", "a/c", -EINVAL },
	{ "ab/file", "a", -EINVAL },
	{ "a", "a", -EINVAL },
};

static const char *resolve(const char *path)
{
	return path[0] == '/' ? path : fixture_path(path);
}

START_TEST(opens)
{
	const char *within = cases[_i].within, *path = cases[_i].path;
	_cleanup_close_ int fd = -EBADF;

	if (within && within[0] == '\0')
		fd = pin_open(path, NULL);
	else
		fd = pin_open(resolve(path), within ? resolve(within) : NULL);
	/* Which of the two errors a link that is no directory gives, the kernel's version decides. */
	if (cases[_i].result == -ENOTDIR)
		ck_assert_msg(fd == -ENOTDIR || fd == -ELOOP, "%s: %d", path, fd);
	else
		ck_assert_msg(cases[_i].result == 0 ? fd >= 0 : fd == cases[_i].result, "%s within %s: %d", path,
			      within ? within : "-", fd);
	if (fd >= 0) {
		ck_assert_int_eq(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
}
END_TEST

START_TEST(opens_the_parent)
{
	const char *name;
	_cleanup_close_ int parent = pin_open_parent(fixture_path("a/b/new"), NULL, &name), below = -EBADF, top = -EBADF;
	struct stat one, other;

	ck_assert_int_ge(parent, 0);
	ck_assert_str_eq(name, "new");
	ck_assert_int_eq(fstat(parent, &one), 0);
	ck_assert_int_eq(stat(fixture_path("a/b"), &other), 0);
	ck_assert_uint_eq(one.st_ino, other.st_ino);

	below = pin_open_parent(fixture_path("a/dir/new"), fixture_path("a"), &name);
	ck_assert_int_ge(below, 0);
	ck_assert_int_eq(fstat(below, &one), 0);
	ck_assert_uint_eq(one.st_ino, other.st_ino);
	top = pin_open_parent(fixture_path("a/new"), fixture_path("a"), &name);
	ck_assert_int_ge(top, 0);

	ck_assert_int_eq(pin_open_parent(fixture_path("a/dir/new"), NULL, &name), -ELOOP);
	ck_assert_int_eq(pin_open_parent(fixture_path("a/none/new"), NULL, &name), -ENOENT);
	fd_close(pin_open_parent("/new", NULL, &name));
	ck_assert_str_eq(name, "new");
}
END_TEST

START_TEST(a_pin_stays)
{
	_cleanup_close_ int pin = pin_open(fixture_path("a/b/file"), NULL), fd = -EBADF;
	char path[4096], content[16] = "";

	ck_assert_int_eq(pin_real_path(pin, path, sizeof(path)), 0);
	ck_assert_str_eq(path, fixture_path("a/b/file"));
	ck_assert_int_eq(pin_real_path(pin, path, 5), -ENAMETOOLONG);

	/* Somebody exchanges the file: the pinned one is opened. */
	ck_assert_int_eq(rename(fixture_path("a/b/file"), fixture_path("moved")), 0);
	fixture_write("a/b/file", "exchanged", 0644);
	ck_assert_int_eq(pin_real_path(pin, path, sizeof(path)), 0);
	ck_assert_str_eq(path, fixture_path("moved"));
	fd = pin_reopen(pin, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(read(fd, content, sizeof(content) - 1), 7);
	ck_assert_str_eq(content, "content");

	/* Its name is taken away, and given to another link of it: that is another name. */
	ck_assert_int_eq(link(fixture_path("moved"), fixture_path("link")), 0);
	ck_assert_int_eq(unlink(fixture_path("moved")), 0);
	ck_assert_int_eq(pin_real_path(pin, path, sizeof(path)), -ENOENT);
	ck_assert_int_eq(rename(fixture_path("link"), fixture_path("moved")), 0);
	ck_assert_int_eq(pin_real_path(pin, path, sizeof(path)), -ENOENT);
}
END_TEST

/* By a descriptor of /proc that is kept. */
START_TEST(a_child_reopens_its_own)
{
	_cleanup_close_ int pin = pin_open(fixture_path("a/b/file"), NULL), other = -EBADF;
	int status;
	pid_t child;

	fd_close(pin_reopen(pin, O_RDONLY));
	fixture_write("other", "other", 0644);
	other = open(fixture_path("other"), O_PATH | O_CLOEXEC);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		char content[16] = "";

		if (dup2(other, pin) < 0 || read(pin_reopen(pin, O_RDONLY), content, sizeof(content) - 1) < 0)
			_exit(2);
		_exit(strcmp(content, "other") == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(tells_kernel_controls)
{
	_cleanup_close_ int file = pin_open(fixture_path("a/b/file"), NULL), status = pin_open("/proc/version", NULL);
	_cleanup_close_ int memory = memfd_new("test");

	ck_assert_int_eq(pin_is_kernel_control(file), 0);
	ck_assert_int_eq(pin_is_kernel_control(status), 1);
	ck_assert_int_eq(pin_is_kernel_control(memory), 0);
	ck_assert_int_eq(pin_is_kernel_control(-1), -EBADF);
	ck_assert_int_ge(fcntl(memory, F_GET_SEALS), 0);
	ck_assert_int_eq(fcntl(memory, F_GET_SEALS) & F_SEAL_SEAL, 0);
}
END_TEST

/* Those that this kernel has, mounted for the test alone. */
START_TEST(tells_mounted_controls)
{
	static const char *const types[] = { "pstore", "nfsd", "rpc_pipefs", "binder", "configfs", "debugfs" };

	if (getuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		unit_skip("only root mounts");
	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		_cleanup_close_ int pin = -EBADF;

		if (mount(types[i], fixture_path("a"), types[i], 0, NULL) < 0)
			continue;
		pin = pin_open(fixture_path("a"), NULL);
		ck_assert_msg(pin_is_kernel_control(pin) == 1, "%s", types[i]);
		ck_assert_int_eq(umount2(fixture_path("a"), MNT_DETACH), 0);
	}
}
END_TEST

/* "user::rw-,user:1:rw-,group::r--,mask::rw-,other::r--" as the kernel keeps it. */
static const struct {
	uint32_t version;
	struct {
		uint16_t tag, permissions;
		uint32_t id;
	} entries[5];
} acl = { 2, { { 1, 6, ~0U }, { 2, 6, 1 }, { 4, 4, ~0U }, { 16, 6, ~0U }, { 32, 4, ~0U } } };

START_TEST(tells_acls)
{
	_cleanup_close_ int pin = pin_open(fixture_path("a/b/file"), NULL);

	ck_assert_int_eq(pin_has_acl(pin), 0);
	if (setxattr(fixture_path("a/b/file"), "system.posix_acl_access", &acl, sizeof(acl), 0) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		unit_skip("this file system has no access control lists");
	}
	ck_assert_int_eq(pin_has_acl(pin), PIN_ACL_POSIX);
}
END_TEST

START_TEST(tells_default_acls)
{
	_cleanup_close_ int pin = pin_open(fixture_path("a/b"), NULL);

	ck_assert_int_eq(pin_has_default_acl(pin), 0);
	if (setxattr(fixture_path("a/b"), "system.posix_acl_default", &acl, sizeof(acl), 0) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		unit_skip("this file system has no access control lists");
	}
	ck_assert_int_eq(pin_has_default_acl(pin), 1);
	ck_assert_int_eq(pin_has_acl(pin), PIN_ACL_NONE);
}
END_TEST

struct visits {
	size_t count, stop_at, length;
};

static int visit(int directory, const struct stat *status, size_t length, void *data)
{
	struct visits *visits = data;

	ck_assert_int_ge(directory, 0);
	ck_assert(S_ISDIR(status->st_mode));
	visits->length = length;
	return ++visits->count == visits->stop_at ? 77 : 0;
}

START_TEST(walks)
{
	struct visits visits = { 0 }, stopped = { .stop_at = 2 };
	char inside[4200];
	size_t depth = 0;

	for (const char *c = fixture_path("a/b/file"); *c; c++)
		depth += *c == '/';
	ck_assert_int_eq(pin_walk(fixture_path("a/b/file"), visit, &visits), 0);
	ck_assert_uint_eq(visits.count, depth);
	ck_assert_uint_eq(visits.length, strlen(fixture_path("a/b")));

	ck_assert_int_eq(pin_walk(fixture_path("a/b/file"), visit, &stopped), 77);
	ck_assert_uint_eq(stopped.count, 2);

	ck_assert_int_eq(pin_walk(fixture_path("a/none/file"), visit, &visits), -ENOENT);
	ck_assert_int_eq(pin_walk(fixture_path("a/dir/file"), visit, &visits), -ENOTDIR);
	ck_assert_int_eq(pin_walk("a/b", visit, &visits), -EINVAL);
	memset(inside, 'x', 300);
	memcpy(inside, "/", 1);
	memcpy(inside + 300, "/y", 3);
	ck_assert_int_eq(pin_walk(inside, visit, &visits), -ENAMETOOLONG);

	visits = (struct visits){ 0 };
	ck_assert_int_eq(pin_walk("/", visit, &visits), 0);
	ck_assert_uint_eq(visits.count, 1);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(opens, ELEMENTSOF(cases)),
		UNIT_TEST(opens_the_parent),
		UNIT_TEST(a_pin_stays),
		UNIT_TEST(a_child_reopens_its_own),
		UNIT_TEST(tells_kernel_controls),
		UNIT_TEST(tells_acls),
		UNIT_TEST(tells_default_acls),
		UNIT_TEST(tells_mounted_controls),
		UNIT_TEST(walks),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("pin", tests, &(struct unit_around){ .setup = setup, .teardown = fixture_teardown });
}
