/* SPDX-License-Identifier: MIT
 *
 * What went wrong, in words.
 */
#include "porterctl/failure.h"

#include <stdarg.h>

#include "libporter/service_errors.h"
#include "porterctl/output.h"

_printf_(1, 0) static void say(const char *format, va_list arguments, const char *after)
{
	_cleanup_free_ char *message = NULL, *escaped = NULL;

	if (vasprintf(&message, format, arguments) < 0)
		output_out_of_memory();
	escaped = output_escape(message);
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

/* The error of the service in words; NULL: it is not known here. */
static const char *service_words(const char *name)
{
#define ENTRY(name, error, words) { name, words },
	static const struct {
		const char *name;
		const char *words;
	} errors[] = { SERVICE_ERRORS(ENTRY) };
#undef ENTRY

	for (size_t i = 0; i < ELEMENTSOF(errors); i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].words;
	return NULL;
}

static void print_error(const struct porter *porter)
{
	_cleanup_json_ json_t *error = NULL;

	error = json_pack("{s:s, s:o}", "error", porter_error_name(porter), "parameters",
			  json_loads(porter_error_parameters(porter), 0, NULL));
	if (!error)
		output_out_of_memory();
	output_json(error);
}

/* The service answered with an error, for which the call returned `error`. */
static int service_failure(const struct invocation *invocation, const struct porter *porter,
			   const char *tried, const char *file, int error)
{
	const char *name = porter_error_name(porter), *reason = porter_error_reason(porter);
	const char *words = service_words(name);

	if (porter_error_file(porter))
		file = porter_error_file(porter);
	if (invocation->json)
		print_error(porter);
	failure_say("can't %s%s%s through %s: %s%s%s%s", tried, file ? " " : "", file ? file : "",
		    invocation_socket(invocation), words ? words : "the service answered ", words ? "" : name,
		    reason ? ": " : "", reason ? reason : "");
	return error == -EHOSTDOWN ? EXIT_UNREACHABLE : EXIT_REFUSED;
}

int failure_call(const struct invocation *invocation, const struct porter *porter, const char *tried,
		 const char *file, int error)
{
	const char *words;
	int status = EXIT_UNREACHABLE;

	if (porter_error_name(porter))
		return service_failure(invocation, porter, tried, file, error);

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
		    invocation_socket(invocation), words);
	return status;
}
