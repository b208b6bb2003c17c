/* SPDX-License-Identifier: MIT
 *
 * Is this daemon stopped to be started again?
 */
#include "handover/restart.h"

#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/macro.h"

#define SYSTEMD "org.freedesktop.systemd1"

DEFINE_CLEANUP(sd_bus *, cleanup_bus, sd_bus_close_unref)
DEFINE_CLEANUP(sd_bus_message *, cleanup_message, sd_bus_message_unref)

/* What is left of the time is what the next call may take. */
static int limit_next_call(sd_bus *bus, uint64_t end)
{
	uint64_t now = clock_now_usec();

	return now >= end ? -ETIMEDOUT : sd_bus_set_method_call_timeout(bus, end - now);
}

/* A call's time limit begins when there is a connection, and the library gives that 90 seconds. */
static int connect_in_time(sd_bus *bus, uint64_t end)
{
	int r;

	while ((r = sd_bus_is_ready(bus)) == 0) {
		uint64_t now = clock_now_usec();

		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = now >= end ? -ETIMEDOUT : sd_bus_wait(bus, end - now);
		if (r < 0)
			return r;
	}
	return r;
}

/* The path of this process's unit, which belongs to the message. */
static int find_unit(sd_bus *bus, uint64_t end, sd_bus_message **message, const char **ret)
{
	int r = limit_next_call(bus, end);

	/* pid 0 is the caller. */
	if (r >= 0)
		r = sd_bus_call_method(bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "GetUnitByPID",
				       NULL, message, "u", UINT32_C(0));
	return r < 0 ? r : sd_bus_message_read(*message, "o", ret);
}

/* What kind of job the unit has; *ret is owned by the caller. NULL: there is none, so somebody else than systemd has
 * sent the signal. */
static int find_job(sd_bus *bus, uint64_t end, const char *unit, char **ret)
{
	_cleanup_(cleanup_message) sd_bus_message *message = NULL;
	const char *job;
	uint32_t number = 0;
	int r = limit_next_call(bus, end);

	*ret = NULL;
	if (r >= 0)
		r = sd_bus_get_property(bus, SYSTEMD, unit, SYSTEMD ".Unit", "Job", NULL, &message, "(uo)");
	if (r >= 0)
		r = sd_bus_message_read(message, "(uo)", &number, &job);
	if (r < 0 || number == 0)
		return r;
	r = limit_next_call(bus, end);
	if (r >= 0)
		r = sd_bus_get_property_string(bus, SYSTEMD, job, SYSTEMD ".Job", "JobType", NULL, ret);
	return r;
}

/* $FDSTORE says it too, but only since 254, where its absence means that there is no store. */
static int find_room(sd_bus *bus, uint64_t end, const char *unit, size_t *ret)
{
	uint32_t max;
	int r = limit_next_call(bus, end);

	if (r >= 0)
		r = sd_bus_get_property_trivial(bus, SYSTEMD, unit, SYSTEMD ".Service", "FileDescriptorStoreMax", NULL,
						'u', &max);
	if (r >= 0)
		*ret = max;
	return r;
}

int restart_follows(size_t *ret_room)
{
	_cleanup_(cleanup_bus) sd_bus *bus = NULL;
	_cleanup_(cleanup_message) sd_bus_message *message = NULL;
	_cleanup_free_ char *type = NULL;
	uint64_t end = clock_now_usec() + RESTART_ASK_USEC;
	const char *unit;
	int r;

	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = connect_in_time(bus, end);
	if (r >= 0)
		r = find_unit(bus, end, &message, &unit);
	if (r >= 0)
		r = find_job(bus, end, unit, &type);
	if (r < 0 || !type)
		return r < 0 ? r : 0;
	if (strcmp(type, "restart") != 0 && strcmp(type, "try-restart") != 0)
		return 0;
	r = find_room(bus, end, unit, ret_room);
	return r < 0 ? r : 1;
}
