/* SPDX-License-Identifier: MIT
 *
 * Names of systemd's units, as its unit_name_is_valid() has them.
 */
#include "base/unit_name.h"

#include <ctype.h>

#include "base/macro.h"

#define UNIT_NAME_MAX 255

static bool has_processes(const char *suffix, size_t size)
{
	static const char *const suffixes[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

	for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
		if (strlen(suffixes[i]) == size && memcmp(suffixes[i], suffix, size) == 0)
			return true;
	return false;
}

bool unit_name_is_valid(const char *name, size_t size)
{
	const char *suffix = size > 0 && size <= UNIT_NAME_MAX ? memrchr(name, '.', size) : NULL;
	const char *at = memchr(name, '@', size);

	if (!suffix || suffix == name || !has_processes(suffix, size - (size_t)(suffix - name)))
		return false;
	if (at && (at == name || at + 1 == suffix))
		return false;
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)name[i]) && (name[i] == '\0' || !strchr(":-_.\\@", name[i])))
			return false;
	return true;
}
