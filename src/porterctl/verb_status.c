/* SPDX-License-Identifier: MIT
 *
 * porterctl status: what systemd and the daemon's own status line know.
 */
#include "porterctl/failure.h"
#include "porterctl/output.h"
#include "porterctl/porterctl.h"
#include "porterctl/systemctl.h"

static const char *const unit_names[] = {
	"porterd.socket",
	"porterd-credentials.socket",
	"porterd-echo.socket",
	"porterd-opener.socket",
	"porterd-isolated.socket",
	"porterd-isolated-echo.socket",
	"porterd.service",
	"porterd-opener.service",
	NULL,
};

static const char *property(const json_t *unit, const char *name)
{
	const char *value = json_string_value(json_object_get(unit, name));

	return value ? value : "";
}

/* A number if the text is one, null if it is empty, otherwise a string. */
static json_t *value_to_json(const char *value)
{
	char *end;
	long long number;

	if (!*value)
		return json_null();
	errno = 0;
	number = strtoll(value, &end, 10);
	return errno == 0 && !*end ? json_integer(number) : json_string(value);
}

static void set_value(json_t *object, const char *key, json_t *value /* consumes reference */)
{
	if (json_object_set_new(object, key, value) < 0)
		output_out_of_memory();
}

/* The daemon's status: `key: value, key: value`. What is not of that form is kept under "text". */
static json_t *status_to_json(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	json_t *status = json_object();
	char *rest = copy, *pair;

	if (!copy || !status)
		output_out_of_memory();
	if (!*text) {
		json_decref(status);
		return json_null();
	}

	while ((pair = strsep(&rest, ","))) {
		char *colon = strchr(pair, ':');

		pair += strspn(pair, " ");
		if (!colon || colon < pair) {
			set_value(status, "text", json_string(text));
			break;
		}
		*colon++ = '\0';
		colon += strspn(colon, " ");
		set_value(status, pair, value_to_json(colon));
	}
	return status;
}

static bool is_socket(const char *unit)
{
	const char *suffix = strrchr(unit, '.');

	return suffix && strcmp(suffix, ".socket") == 0;
}

/* systemd counts connections where it accepts them itself (the others are in the daemon's status), and prints zeros
 * for sockets that are not there or do not listen. */
static bool has_counts(const json_t *unit)
{
	return strcmp(property(unit, "Accept"), "yes") == 0 && strcmp(property(unit, "LoadState"), "loaded") == 0 &&
	       strcmp(property(unit, "ActiveState"), "inactive") != 0;
}

static json_t *count_to_json(const json_t *unit, const char *name)
{
	return has_counts(unit) ? value_to_json(property(unit, name)) : json_null();
}

static json_t *unit_to_json(const char *name, const json_t *unit)
{
	json_t *one = json_object();
	const char *pid = property(unit, "MainPID");

	set_value(one, "load", value_to_json(property(unit, "LoadState")));
	set_value(one, "active", value_to_json(property(unit, "ActiveState")));
	set_value(one, "sub", value_to_json(property(unit, "SubState")));
	if (is_socket(name)) {
		set_value(one, "accepted", count_to_json(unit, "NAccepted"));
		set_value(one, "connections", count_to_json(unit, "NConnections"));
		set_value(one, "refused", count_to_json(unit, "NRefused"));
	} else {
		set_value(one, "pid", value_to_json(strcmp(pid, "0") == 0 ? "" : pid));
		set_value(one, "status", status_to_json(property(unit, "StatusText")));
	}
	return one;
}

static void print_json(const json_t *units)
{
	_cleanup_json_ json_t *answer = json_object();
	json_t *all = json_object();

	set_value(answer, "units", all);
	for (const char *const *name = unit_names; *name; name++)
		set_value(all, *name, unit_to_json(*name, json_object_get(units, *name)));
	output_json(answer);
}

static char *describe_state(const json_t *unit)
{
	const char *active = property(unit, "ActiveState"), *sub = property(unit, "SubState");
	const char *load = property(unit, "LoadState"), *result = property(unit, "Result");
	char *state;
	int r;

	if (strcmp(load, "loaded") != 0)
		r = asprintf(&state, "%s", *load ? load : "unknown");
	else if (strcmp(active, "failed") == 0)
		r = asprintf(&state, "failed (%s)", result);
	else
		r = asprintf(&state, "%s (%s)", active, sub);
	if (r < 0)
		output_out_of_memory();
	return state;
}

static char *describe_details(const char *name, const json_t *unit)
{
	char *details;
	int r;

	if (!is_socket(name))
		r = asprintf(&details, "%s", property(unit, "StatusText"));
	else if (has_counts(unit))
		r = asprintf(&details, "accepted: %s, connections: %s, refused: %s",
			     property(unit, "NAccepted"), property(unit, "NConnections"),
			     property(unit, "NRefused"));
	else
		r = asprintf(&details, "%s", "");
	if (r < 0)
		output_out_of_memory();
	return details;
}

static void print_table(const json_t *units)
{
	enum { COLUMNS = 4, ROWS = ELEMENTSOF(unit_names) };
	const char *cells[ROWS * COLUMNS] = { "UNIT", "STATE", "PID", "STATUS" };
	char *owned[ROWS * 2] = { NULL };

	for (size_t row = 1; row < ROWS; row++) {
		const char *name = unit_names[row - 1], *pid;
		const json_t *unit = json_object_get(units, name);

		pid = property(unit, "MainPID");
		owned[2 * row] = describe_state(unit);
		owned[2 * row + 1] = describe_details(name, unit);
		cells[row * COLUMNS] = name;
		cells[row * COLUMNS + 1] = owned[2 * row];
		cells[row * COLUMNS + 2] = *pid && strcmp(pid, "0") != 0 ? pid : NULL;
		cells[row * COLUMNS + 3] = *owned[2 * row + 1] ? owned[2 * row + 1] : NULL;
	}

	output_table(cells, ROWS, COLUMNS);
	for (size_t i = 0; i < ELEMENTSOF(owned); i++)
		free(owned[i]);
}

int verb_status(const struct invocation *invocation)
{
	_cleanup_json_ json_t *units = NULL;
	int r;

	r = systemctl_show(unit_names,
			   "Id,LoadState,ActiveState,SubState,Result,MainPID,StatusText,Accept,NAccepted,"
			   "NConnections,NRefused",
			   &units);
	if (r == -ENOENT)
		failure_say("systemctl is not found. Without systemd, ask the service: porterctl whoami");
	else if (r == -EHOSTDOWN)
		failure_say("systemctl could not ask systemd. Is it running? Try: systemctl status");
	else if (r < 0)
		failure_say("can't ask systemctl: %s", strerror(-r));
	if (r < 0)
		return EXIT_UNREACHABLE;

	if (invocation->json)
		print_json(units);
	else
		print_table(units);
	return EXIT_DONE;
}
