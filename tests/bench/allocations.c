/* SPDX-License-Identifier: MIT
 *
 * Preloaded by a test: counts what is allocated by the place that asks for it, and writes to the file $ALLOCATIONS at the
 * end which object (a program's or library's file) has asked how often.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 4096 /* a power of two, and more than these programs have */

static struct place {
	void *address; /* where the call returns to */
	unsigned long count;
} places[PLACES];

static void count_for(void *address)
{
	size_t i = ((uintptr_t)address >> 2) * 2654435761U % PLACES;

	while (places[i].address && places[i].address != address)
		i = (i + 1) % PLACES;
	places[i].address = address;
	places[i].count++;
}

/* What looking for the real functions needs itself. */
static void *allocate_early(size_t size)
{
	static _Alignas(16) char memory[65536];
	static size_t used;
	char *at = memory + used;

	size = (size + 15) / 16 * 16;
	if (size > sizeof(memory) - used)
		return NULL;
	used += size;
	return at;
}

static void *real_function(void **cached, const char *name)
{
	static int looking;

	if (!*cached && !looking) {
		looking = 1;
		*cached = dlsym(RTLD_NEXT, name);
		looking = 0;
	}
	return *cached;
}

void *malloc(size_t size)
{
	static void *cached;
	void *(*real)(size_t);

	*(void **)&real = real_function(&cached, "malloc");
	count_for(__builtin_return_address(0));
	return real ? real(size) : allocate_early(size);
}

void *calloc(size_t count, size_t size)
{
	static void *cached;
	void *(*real)(size_t, size_t);

	*(void **)&real = real_function(&cached, "calloc");
	count_for(__builtin_return_address(0));
	return real ? real(count, size) : allocate_early(count * size);
}

void *realloc(void *pointer, size_t size)
{
	static void *cached;
	void *(*real)(void *, size_t);

	*(void **)&real = real_function(&cached, "realloc");
	count_for(__builtin_return_address(0));
	return real(pointer, size);
}

static void __attribute__((destructor)) report(void)
{
	const char *path = getenv("ALLOCATIONS");
	FILE *file = path ? fopen(path, "we") : NULL;

	for (size_t i = 0; file && i < PLACES; i++) {
		Dl_info info;
		const char *slash;

		if (!places[i].address || dladdr(places[i].address, &info) == 0)
			continue;
		slash = strrchr(info.dli_fname, '/');
		(void)fprintf(file, "%lu %s %#lx\n", places[i].count, slash ? slash + 1 : info.dli_fname,
			      (unsigned long)((uintptr_t)places[i].address - (uintptr_t)info.dli_fbase));
	}
	if (file)
		(void)fclose(file);
}
