/* SPDX-License-Identifier: MIT
 *
 * The answer to a request of porterd's.
 */
#include "opener/serving/response.h"

#include "base/macro.h"

void response_init(struct response *response)
{
	memset(&response->header, 0, sizeof(response->header));
	fdset_init(&response->fds);
}

void response_set(struct response *response, enum opener_result result, const char *reason)
{
	size_t size = MIN_OF(strlen(reason), sizeof(response->text));

	response->header.result = result;
	response->header.text_size = (uint32_t)size;
	memcpy(response->text, reason, size);
}

bool response_append(struct response *response, const char *const *strings, size_t n_strings)
{
	size_t at = response->header.text_size, size = 0;

	for (size_t i = 0; i < n_strings; i++)
		size += strlen(strings[i]) + 1;
	if (size > sizeof(response->text) - at)
		return false;

	for (size_t i = 0; i < n_strings; i++)
		at = (size_t)(stpcpy(response->text + at, strings[i]) + 1 - response->text);
	response->header.text_size = (uint32_t)at;
	return true;
}
