/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzzer on the files that it is given, one after the other: seeds and findings, where there is no libFuzzer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static uint8_t *read_file(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "r");
	uint8_t *data = NULL, *exact;
	size_t room = 0, size = 0, n = 0;

	if (!file)
		return NULL;
	do {
		size += n;
		if (size == room) {
			room = room ? 2 * room : 4096;
			data = realloc(data, room);
			fuzz_expect(data);
		}
		n = fread(data + size, 1, room - size, file);
	} while (n > 0);
	(void)fclose(file);

	/* Memory of just that size, so that a sanitizer or valgrind sees what reads beyond it. */
	exact = malloc(size ? size : 1);
	fuzz_expect(exact);
	for (size_t i = 0; i < size; i++)
		exact[i] = data[i];
	free(data);
	*ret_size = size;
	return exact;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		size_t size;
		uint8_t *data = read_file(argv[i], &size);

		if (!data) {
			perror(argv[i]);
			return 1;
		}
		/* The last one named before a crash is the one. */
		(void)fprintf(stderr, "%s\n", argv[i]);
		(void)LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	return 0;
}
