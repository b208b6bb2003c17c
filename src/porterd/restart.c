/* SPDX-License-Identifier: MIT
 *
 * Is this daemon stopped to be started again?
 */
#include "porterd/restart.h"

#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/macro.h"

#define SYSTEMD "org.freedesktop.systemd1"

DEFINE_CLEANUP(sd_bus *, cleanup_bus, sd_bus_close_unref)
DEFINE_CLEANUP(sd_bus_message *, cleanup_message, sd_bus_message_unref)

/* The path of the job of this process's unit, which belongs to the message. 0: there is none, so somebody else than
 * systemd has sent the signal. */
static int find_job(sd_bus *bus, sd_bus_message **message, const char **ret)
{
	_cleanup_(cleanup_message) sd_bus_message *answer = NULL;
	const char *unit;
	uint32_t number;
	int r;

	/* pid 0 is the caller. */
	r = sd_bus_call_method(bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "GetUnitByPID", NULL,
			       &answer, "u", UINT32_C(0));
	if (r >= 0)
		r = sd_bus_message_read(answer, "o", &unit);
	if (r >= 0)
		r = sd_bus_get_property(bus, SYSTEMD, unit, SYSTEMD ".Unit", "Job", NULL, message, "(uo)");
	if (r >= 0)
		r = sd_bus_message_read(*message, "(uo)", &number, ret);
	return r < 0 ? r : number != 0;
}

int restart_follows(void)
{
	_cleanup_(cleanup_bus) sd_bus *bus = NULL;
	_cleanup_(cleanup_message) sd_bus_message *message = NULL;
	_cleanup_free_ char *type = NULL;
	const char *job;
	int r;

	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, USEC_PER_SEC);
	if (r >= 0)
		r = find_job(bus, &message, &job);
	if (r <= 0)
		return r;
	r = sd_bus_get_property_string(bus, SYSTEMD, job, SYSTEMD ".Job", "JobType", NULL, &type);
	if (r < 0)
		return r;
	return strcmp(type, "restart") == 0 || strcmp(type, "try-restart") == 0;
}
