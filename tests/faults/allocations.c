/* SPDX-License-Identifier: MIT
 *
 * Preloaded by tests, together with calls.c: makes one allocation of memory fail. All ways to allocate count as one.
 * libeconf and the C library's look-ups do not look whether they were given any, so before they are called as much as
 * they need must have been there (base/memory.h). That much is there for them, then, and no more.
 */
#include "tests/faults/plan.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

/* libeconf's functions that allocate; each is called as it is declared, which matters to nobody here. */
typedef int (*econf_function)(void *a, const void *b, const void *c, const void *d);
int econf_readFile(void *a, const void *b, const void *c, const void *d);
int econf_getStringValue(void *a, const void *b, const void *c, const void *d);
int econf_getKeys(void *a, const void *b, const void *c, const void *d);
int econf_getGroups(void *a, const void *b, const void *c, const void *d);

static size_t last_size, reserved;
static bool spared;

static void spare(void)
{
	spared = true;
	reserved = last_size;
}

static int call_spared(const char *name, void *a, const void *b, const void *c, const void *d)
{
	econf_function real;
	int result;

	spare();
	*(void **)&real = dlsym(RTLD_NEXT, name);
	result = real(a, b, c, d);
	spared = false;
	return result;
}

int econf_readFile(void *a, const void *b, const void *c, const void *d)
{
	return call_spared(__func__, a, b, c, d);
}

int econf_getStringValue(void *a, const void *b, const void *c, const void *d)
{
	return call_spared(__func__, a, b, c, d);
}

int econf_getKeys(void *a, const void *b, const void *c, const void *d)
{
	return call_spared(__func__, a, b, c, d);
}

int econf_getGroups(void *a, const void *b, const void *c, const void *d)
{
	return call_spared(__func__, a, b, c, d);
}

struct passwd *getpwnam(const char *name)
{
	struct passwd *(*real)(const char *), *result;

	spare();
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	result = real(name);
	spared = false;
	return result;
}

struct group *getgrnam(const char *name)
{
	struct group *(*real)(const char *), *result;

	spare();
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	result = real(name);
	spared = false;
	return result;
}

static bool fails(size_t size)
{
	int error;

	if (spared && size <= reserved) {
		reserved -= size;
		return false;
	}
	last_size = size;
	if (!plan_now || !plan_fails(plan_now, "malloc", &error))
		return false;
	errno = error;
	return true;
}

void *malloc(size_t size)
{
	return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails(count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	return fails(size) ? NULL : __libc_realloc(memory, size);
}
