/* SPDX-License-Identifier: MIT
 *
 * What the unit tests share.
 */
#include "unit.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define SKIPS_MAX 16

/* Tests run in children of the runner, so what they skip is written to shared memory. */
struct skip {
	char function[128];
	char reason[256];
};
static struct skip *skips;

void unit_note_skip(const char *function, const char *reason)
{
	size_t i = 0;

	while (i < SKIPS_MAX && skips[i].function[0] != '\0')
		i++;
	ck_assert_uint_lt(i, SKIPS_MAX);
	(void)snprintf(skips[i].function, sizeof(skips[i].function), "%s", function);
	(void)snprintf(skips[i].reason, sizeof(skips[i].reason), "%s", reason);
}

/* Check calls the test NAME's function NAME_fn, and writes ":NAME:" into its line. */
static const char *find_skip(const char *line)
{
	for (size_t i = 0; i < SKIPS_MAX && skips[i].function[0] != '\0'; i++) {
		int length = (int)strlen(skips[i].function) - (int)strlen("_fn");
		char wanted[sizeof(skips[i].function) + 2];

		(void)snprintf(wanted, sizeof(wanted), ":%.*s:", length, skips[i].function);
		if (strncmp(line, "ok ", 3) == 0 && strstr(line, wanted))
			return skips[i].reason;
	}
	return NULL;
}

/* Check has no skipped tests in its TAP: they pass there, and are marked on the way out. */
static void print_tap(FILE *tap)
{
	char line[4096];

	while (fgets(line, sizeof(line), tap)) {
		const char *reason = find_skip(line);

		line[strcspn(line, "\n")] = '\0';
		(void)printf("%s%s%s\n", line, reason ? " # SKIP " : "", reason ? reason : "");
	}
}

static Suite *make_suite(const char *name, const struct unit_test *tests, const struct unit_around *around)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);

	if (around)
		tcase_add_checked_fixture(tcase, around->setup, around->teardown);
	if (around && around->seconds > 0)
		tcase_set_timeout(tcase, around->seconds);
	for (; tests->test; tests++)
		if (tests->count < 0)
			tcase_add_test(tcase, tests->test);
		else
			tcase_add_loop_test(tcase, tests->test, 0, tests->count);
	suite_add_tcase(suite, tcase);
	return suite;
}

int unit_run(const char *name, const struct unit_test *tests, const struct unit_around *around)
{
	_cleanup_(cleanup_file) FILE *tap = NULL;
	int failed, fd = memfd_create("tap", MFD_CLOEXEC);
	char path[64];
	SRunner *runner;

	skips = mmap(NULL, SKIPS_MAX * sizeof(*skips), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	tap = fd < 0 ? NULL : fdopen(fd, "r");
	if (skips == MAP_FAILED || !tap)
		return 99; /* automake's hard error */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	runner = srunner_create(make_suite(name, tests, around));
	srunner_set_tap(runner, path);
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);

	print_tap(tap);
	(void)munmap(skips, SKIPS_MAX * sizeof(*skips));
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void unit_skip_all(const char *reason)
{
	(void)printf("1..0 # SKIP %s\n", reason);
	exit(EXIT_SUCCESS);
}

size_t unit_count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t count = 0;

	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		count++;
	(void)closedir(directory);
	return count - 3; /* ".", ".." and the directory's own */
}

bool unit_under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload");
}

int unit_in_child(int (*function)(void *argument), void *argument)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(function(argument));
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void unit_make_directory(char *path)
{
	(void)snprintf(path, UNIT_PATH_SIZE, "/tmp/porterd-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
}

unsigned unit_make_address(struct sockaddr_un *address, const char *name)
{
	int length;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "porterd-unit-%s-%d", name, getpid());
	return (unsigned)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}
