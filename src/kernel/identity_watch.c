/* SPDX-License-Identifier: MIT
 *
 * The unit of a process that may be moved to another.
 */
#include "kernel/identity_watch.h"

#include "base/macro.h"

void identity_watch_init(struct identity_watch *watch)
{
	*watch = (struct identity_watch){ .cgroup = -EBADF };
}

void identity_watch_clear(struct identity_watch *watch)
{
	fd_close(watch->cgroup);
	free(watch->text);
	identity_watch_init(watch);
}

/* Is the process still where it was when its cgroup was read? */
static bool is_where_it_was(const struct identity *identity, const struct identity_watch *watch)
{
	uint64_t number;

	/* systemd would be PID 1, and in a unit from its start. */
	if (watch->where == PROCESS_UNITS_NONE)
		return true;
	return watch->where == PROCESS_UNITS_UNIFIED && watch->number != 0 &&
	       process_cgroup_number(identity->pidfd, &number) >= 0 && number == watch->number;
}

/* Not within the other one: it would have room for the text made and cleared for each request. */
static __attribute__((noinline)) int look_again(struct identity *identity, struct identity_watch *watch)
{
	_cleanup_free_ char *unit = NULL, *invocation_id = NULL, *kept = NULL;
	char text[PROCESS_CGROUP_SIZE] = "";
	enum process_units where = PROCESS_UNITS_NAMED;
	uint64_t number, after;
	bool same;
	int r;

	if (process_cgroup_number(identity->pidfd, &number) < 0)
		number = 0;
	if (watch->cgroup < 0)
		watch->cgroup = process_cgroup_open(identity->pid);
	r = watch->cgroup < 0 ? watch->cgroup : process_cgroup_read(watch->cgroup, text);
	/* The text is of this number only if it was there before and after it: who is moved to another cgroup, read there,
	 * and moved back would be kept as being in that one. */
	if (process_cgroup_number(identity->pidfd, &after) < 0 || after != number)
		number = 0;

	same = r >= 0 && watch->text && strcmp(watch->text, text) == 0;
	if (r >= 0 && !same) {
		kept = strdup(text);
		r = kept ? process_cgroup_unit(text, &unit, &where) : -ENOMEM;
	}
	if (error_is_shortage(r))
		return r;
	if (unit)
		invocation_id = identity_invocation_id(unit);

	/* As in identity_read_unit(): only what was opened by its number just now could be another's. */
	if (!identity_is_alive(identity))
		return -ESRCH;
	watch->number = number;
	if (same)
		return 0;

	identity->known |= IDENTITY_UNIT;
	free(identity->unit);
	free(identity->invocation_id);
	free(watch->text);
	/* An invocation is looked for again until there is one. A restart of the unit makes a new one, for new processes:
	 * those that outlive it keep theirs. */
	watch->text = unit && !invocation_id ? NULL : TAKE_POINTER(kept);
	watch->where = where;
	identity->unit = TAKE_POINTER(unit);
	identity->invocation_id = TAKE_POINTER(invocation_id);
	return 0;
}

int identity_watch_unit(struct identity *identity, struct identity_watch *watch)
{
	if (watch->text && is_where_it_was(identity, watch))
		return identity_is_alive(identity) ? 0 : -ESRCH;
	return look_again(identity, watch);
}
