/* SPDX-License-Identifier: MIT
 *
 * What became of opening a file.
 */
#include "opener/opening/opened.h"

#include <stdarg.h>

void opened_init(struct opened *opened)
{
	*opened = (struct opened){ .fd = -EBADF, .result = OPENER_OK };
}

void opened_clear(struct opened *opened)
{
	fd_close(TAKE_FD(opened->fd));
}

enum opener_result opened_refuse(struct opened *opened, enum opener_result result, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(opened->reason, sizeof(opened->reason), format, arguments);
	va_end(arguments);
	opened->result = result;
	return result;
}

enum opener_result opened_fail(struct opened *opened, const char *what, int error)
{
	switch (-error) {
	case ENOENT:
	case ENOTDIR:
		return opened_refuse(opened, OPENER_FILE_MISSING, "there is no such file");
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EAGAIN:
	case ETOOMANYREFS:
		return opened_refuse(opened, OPENER_BUSY, "%s: %s", what, strerror(-error));
	case ELOOP:
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "a symbolic link is in the way");
	case EXDEV:
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "a symbolic link leads out of Within=");
	default:
		return opened_refuse(opened, OPENER_NOT_PERMITTED, "%s: %s", what, strerror(-error));
	}
}
