/* SPDX-License-Identifier: MIT
 *
 * Opening while another process puts one thing after the other in the file's place, and in its directory's. It does so
 * for a second, or $RACE_OPERATIONS times.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "open_fixture.h"

#define SECONDS 1
/* An opener that waits for a FIFO, or for anything, is stopped by that. */
#define PATIENCE_SECONDS 10
#define GOOD 'g'

static volatile unsigned long *turns; /* shared with who makes the changes */
static int arena;
static struct stat secret;
static pid_t racer;
static unsigned long tries, successes, reasons;

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void make_file(const char *name)
{
	int fd = openat(arena, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);

	if (fd >= 0) {
		(void)write(fd, "g", 1);
		(void)close(fd);
	}
}

/* All changes are one rename over "file", or take it away: what is in its place is always whole. */
static void change(unsigned turn)
{
	(void)unlinkat(arena, "next", 0);
	switch (turn % 8) {
	case 0:
	case 4:
		make_file("next");
		break;
	case 1:
		(void)symlinkat("../secret/key", arena, "next");
		break;
	case 2:
		(void)linkat(arena, "../secret/key", arena, "next", 0);
		break;
	case 3:
		(void)mkfifoat(arena, "next", 0600);
		break;
	case 5:
		(void)unlinkat(arena, "file", 0);
		return;
	case 6:
		/* The directory that it is in becomes a link to where another file has its name, and is itself again. */
		(void)renameat(arena, "../way", arena, "../aside");
		(void)symlinkat("secret", arena, "../way");
		(void)unlinkat(arena, "../way", 0);
		(void)renameat(arena, "../aside", arena, "../way");
		return;
	default:
		make_file("spare");
		(void)linkat(arena, "spare", arena, "next", 0);
		(void)unlinkat(arena, "spare", 0);
		break;
	}
	(void)renameat(arena, "next", arena, "file");
}

static unsigned long turns_wanted(void)
{
	const char *wanted = getenv("RACE_OPERATIONS");

	return wanted ? strtoul(wanted, NULL, 10) : 0;
}

static void start_race(void)
{
	racer = fork();
	if (racer != 0)
		return;
	for (unsigned turn = 0;; turn++) {
		change(turn);
		*turns = turn;
	}
}

/* way/file is what is granted, secret/key and secret/file are what must never come. Others than root can write the
 * directory of the first: only then hard links to what they don't own are in question. */
static void setup(void)
{
	/* In memory there are a hundred times as many changes as on a disk. */
	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("FIXTURE_BASE", "/dev/shm", 0);
	open_setup();
	fixture_write("secret/key", "s", 0600);
	fixture_write("secret/file", "s", 0600);
	fixture_write("way/file", "g", 0600);
	ck_assert_int_eq(chmod(fixture_path("way"), 0777), 0);
	ck_assert_int_eq(stat(fixture_path("secret/key"), &secret), 0);
	arena = open(fixture_path("way"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	turns = mmap(NULL, sizeof(*turns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne((void *)(uintptr_t)turns, MAP_FAILED);
	tries = successes = reasons = 0;
	start_race();
}

static void stop_race(void)
{
	if (racer > 0) {
		(void)kill(racer, SIGKILL);
		(void)waitpid(racer, NULL, 0);
	}
	racer = 0;
}

static void teardown(void)
{
	stop_race();
	(void)munmap((void *)(uintptr_t)turns, sizeof(*turns));
	(void)close(arena);
	open_teardown();
}

/* What was opened is a file that was made to be. */
static void ck_good(void)
{
	struct stat status;
	char content[2];

	ck_assert_int_eq(fstat(opened.fd, &status), 0);
	ck_assert(S_ISREG(status.st_mode));
	ck_assert_uint_ne(status.st_ino, secret.st_ino);
	ck_assert_uint_eq(status.st_ino, opened.inode);
	/* Read anew: some grants are for writing. An empty one was just created. */
	ck_assert_int_eq(fcntl(opened.fd, F_GETFL) & O_ACCMODE, O_RDWR);
	if (pread(opened.fd, content, 1, 0) == 1)
		ck_assert_int_eq(content[0], GOOD);
}

static void open_once(const struct grant *grant)
{
	struct identity client = fixture_client(STRANGER, STRANGER);

	(void)alarm(PATIENCE_SECONDS);
	tries++;
	opened_clear(&opened);
	places_clear(&places);
	if (open_grant(grant, &client, &places, &opened) == OPENER_OK) {
		successes++;
		ck_good();
	} else {
		ck_assert_int_ne(opened.result, OPENER_BUSY);
		reasons |= 1UL << opened.result;
	}
	(void)alarm(0);
}

static void open_again_and_again(const struct grant *grant)
{
	unsigned long wanted = turns_wanted();
	double end = now() + SECONDS;

	do
		for (int i = 0; i < 64; i++)
			open_once(grant);
	while (wanted > 0 ? *turns < wanted : now() < end);

	/* It was a race: some came, and some met what was in their place. */
	(void)fprintf(stderr, "# %lu changes, %lu times tried, %lu times opened\n", *turns, tries, successes);
	ck_assert_uint_gt(*turns, 100);
	ck_assert_uint_gt(successes, 0);
	ck_assert_uint_lt(successes, tries);
}

START_TEST(a_plain_path)
{
	struct grant grant = grant_for("way/file", GRANT_READ_WRITE);

	open_again_and_again(&grant);
	ck_assert_msg(reasons & 1UL << OPENER_WRONG_TYPE, "no FIFO was met");
	ck_assert_msg(reasons & 1UL << OPENER_FILE_MISSING, "it was always there");
	ck_assert_msg(reasons & 1UL << OPENER_NOT_PERMITTED, "no link was met");
}
END_TEST

/* Links are followed that stay below way/; those of this race lead out of it. */
START_TEST(within_a_directory)
{
	struct grant grant = grant_for("way/file", GRANT_READ_WRITE);

	grant.within = (char *)(uintptr_t)fixture_path("way");
	open_again_and_again(&grant);
	ck_assert(reasons & 1UL << OPENER_NOT_PERMITTED);
}
END_TEST

START_TEST(a_file_that_may_be_made)
{
	struct grant grant = grant_for("way/file", GRANT_READ_WRITE);

	grant.create = true;
	open_again_and_again(&grant);
	ck_assert(reasons & 1UL << OPENER_NOT_PERMITTED);
}
END_TEST

/* A copy is of what it was made of. */
START_TEST(a_copy)
{
	struct grant grant = grant_for("way/file", GRANT_READ);
	double end = now() + SECONDS;
	struct identity client = fixture_client(STRANGER, STRANGER);
	char content;

	grant.copy = true;
	while (now() < end) {
		opened_clear(&opened);
		tries++;
		if (open_grant(&grant, &client, &places, &opened) != OPENER_OK)
			continue;
		successes++;
		ck_assert_uint_ne(opened.inode, secret.st_ino);
		if (read(opened.fd, &content, 1) == 1)
			ck_assert_int_eq(content, GOOD);
	}
	ck_assert_uint_gt(successes, 0);
	ck_assert_uint_lt(successes, tries);
}
END_TEST

/* Who renews a key puts the new file over the old one; whoever asks at that moment gets one of them. */
START_TEST(a_file_that_is_renewed)
{
	struct grant grant = grant_for("renewed/file", GRANT_READ_WRITE);
	double end = now() + SECONDS;

	stop_race();
	fixture_write("renewed/file", "g", 0600);
	(void)close(arena);
	arena = open(fixture_path("renewed"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	racer = fork();
	while (racer == 0) {
		make_file("next");
		(void)renameat(arena, "next", arena, "file");
		(void)usleep(200);
	}

	while (now() < end)
		open_once(&grant);
	(void)fprintf(stderr, "# %lu times tried, %lu times opened\n", tries, successes);
	/* Now and then somebody who never gets to run in between misses all of them. */
	ck_assert_uint_le((tries - successes) * 500, tries);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_TEST(a_plain_path),
		UNIT_TEST(within_a_directory),
		UNIT_TEST(a_file_that_may_be_made),
		UNIT_TEST(a_copy),
		UNIT_TEST(a_file_that_is_renewed),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("races", tests, &(struct unit_around){ setup, teardown, 1200 });
}
