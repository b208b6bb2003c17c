/* SPDX-License-Identifier: MIT
 *
 * What went wrong, in words.
 */
#include "porterctl/failure.h"

#include <stdarg.h>

#include "porterctl/client.h"
#include "porterctl/text.h"

void failure_out_of_memory(void)
{
	(void)fputs("porterctl: out of memory\n", stderr);
	exit(EXIT_REFUSED);
}

_printf_(1, 0) static void say(const char *format, va_list arguments, const char *after)
{
	_cleanup_free_ char *message = NULL, *escaped = NULL;

	if (vasprintf(&message, format, arguments) < 0)
		failure_out_of_memory();
	escaped = text_escape(message);
	(void)fprintf(stderr, "porterctl: %s%s\n", escaped, after);
}

void failure_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments, "");
	va_end(arguments);
}

int failure_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments, ". Try: porterctl --help");
	va_end(arguments);
	return EXIT_WRONG_USAGE;
}

int failure_connect(const char *socket, const char *unit, int error)
{
	const char *words = strerror(error);

	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		if (unit)
			failure_say("can't connect to %s: %s. Is the socket running? Try: systemctl start %s",
				    socket, words, unit);
		else
			failure_say("can't connect to %s: %s. Does anything listen there? Try: ss -xl",
				    socket, words);
		break;
	case EACCES:
		failure_say("can't connect to %s: %s. Its mode, or a directory's on the way, shuts you out. "
			    "Try: namei -l %s",
			    socket, words, socket);
		break;
	case EPROTOTYPE:
		failure_say("can't connect to %s: it is no stream socket. Try another --socket=PATH", socket);
		break;
	default:
		failure_say("can't connect to %s: %s", socket, words);
		break;
	}
	return EXIT_UNREACHABLE;
}

/* Errors of the service: in words, and what to do. */
static const struct {
	const char *name;
	const char *words;
	int status;
} service_errors[] = {
	{ "io.porterd.Files.UnknownFile", "the policy has no file of that name. Try: porterctl list",
	  EXIT_REFUSED },
	{ "io.porterd.Files.NotPermitted", "not permitted", EXIT_REFUSED },
	{ "io.porterd.Files.FileMissing", "the file is missing where the policy says it is", EXIT_REFUSED },
	{ "io.porterd.Files.WrongType", "something else is in the file's place", EXIT_REFUSED },
	{ "io.porterd.Files.UnsafeMode",
	  "the file's mode would give more access than the policy. Change the mode, or set Deliver=copy",
	  EXIT_REFUSED },
	{ "io.porterd.Files.TooManyFiles", "too many files at once", EXIT_REFUSED },
	{ "io.porterd.Files.OpenerUnavailable",
	  "the process that opens files can't be reached. Try: systemctl status porterd-opener.socket",
	  EXIT_UNREACHABLE },
	{ "io.porterd.Files.Busy", "the service is too busy. Try again", EXIT_REFUSED },
	{ "org.varlink.service.InterfaceNotFound", "the service does not know this interface", EXIT_REFUSED },
	{ "org.varlink.service.MethodNotFound", "the service does not know this method", EXIT_REFUSED },
	{ "org.varlink.service.MethodNotImplemented", "the service does not do this", EXIT_REFUSED },
	{ "org.varlink.service.InvalidParameter", "the service does not accept this name", EXIT_REFUSED },
	{ "org.varlink.service.PermissionDenied", "the service does not permit it", EXIT_REFUSED },
};

static int service_failure(const struct invocation *invocation, const struct porter *porter,
			   const char *tried, const char *file)
{
	const char *name = porter_error_name(porter), *reason = porter_error_reason(porter);
	const char *words = NULL;
	int status = EXIT_REFUSED;

	if (porter_error_file(porter))
		file = porter_error_file(porter);
	for (size_t i = 0; i < ELEMENTSOF(service_errors); i++)
		if (strcmp(service_errors[i].name, name) == 0) {
			words = service_errors[i].words;
			status = service_errors[i].status;
		}

	if (invocation->json)
		client_print_error(porter);
	failure_say("can't %s%s%s through %s: %s%s%s%s", tried, file ? " " : "", file ? file : "",
		    client_socket(invocation), words ? words : "the service answered ", words ? "" : name,
		    reason ? ": " : "", reason ? reason : "");
	return status;
}

int failure_call(const struct invocation *invocation, const struct porter *porter, const char *tried,
		 const char *file, int error)
{
	const char *words;
	int status = EXIT_UNREACHABLE;

	if (porter_error_name(porter))
		return service_failure(invocation, porter, tried, file);

	switch (error) {
	case -ECONNRESET:
		words = "the service closed the connection before it had answered. "
			"Try: journalctl -u porterd.service";
		break;
	case -EBADMSG:
		words = "the answer is not one of porterd's. Is it the right socket?";
		break;
	case -EMFILE:
		words = "the answer brought more files than this process may open. Try: ulimit -n";
		break;
	case -EMSGSIZE:
		words = "the message is too long";
		status = EXIT_REFUSED;
		break;
	case -EINVAL:
		words = "a name is empty, or not UTF-8";
		status = EXIT_WRONG_USAGE;
		break;
	default:
		words = strerror(-error);
		status = EXIT_REFUSED;
		break;
	}

	failure_say("can't %s%s%s through %s: %s", tried, file ? " " : "", file ? file : "",
		    client_socket(invocation), words);
	return status;
}
