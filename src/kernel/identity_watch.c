/* SPDX-License-Identifier: MIT
 *
 * The unit of a process that may be moved to another.
 */
#include "kernel/identity_watch.h"

#include "base/macro.h"
#include "kernel/process_unit.h"

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

static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

int identity_watch_unit(struct identity *identity, struct identity_watch *watch)
{
	_cleanup_free_ char *unit = NULL, *invocation_id = NULL, *kept = NULL;
	char text[PROCESS_CGROUP_SIZE] = "";
	bool same;
	int r;

	if (watch->cgroup < 0)
		watch->cgroup = process_cgroup_open(identity->pid);
	r = watch->cgroup < 0 ? watch->cgroup : process_cgroup_read(watch->cgroup, text);

	same = r >= 0 && watch->text && strcmp(watch->text, text) == 0;
	if (r >= 0 && !same) {
		kept = strdup(text);
		r = kept ? process_cgroup_unit(text, &unit) : -ENOMEM;
	}
	if (is_shortage(r))
		return r;
	if (unit)
		invocation_id = identity_invocation_id(unit);

	/* As in identity_read_unit(): only what was opened by its number just now could be another's. */
	if (!identity_is_alive(identity))
		return -ESRCH;
	if (same)
		return 0;

	identity->known |= IDENTITY_UNIT;
	free(identity->unit);
	free(identity->invocation_id);
	free(watch->text);
	/* An invocation is looked for again until there is one. A restart of the unit makes a new one, for new processes:
	 * those that outlive it keep theirs. */
	watch->text = unit && !invocation_id ? NULL : TAKE_POINTER(kept);
	identity->unit = TAKE_POINTER(unit);
	identity->invocation_id = TAKE_POINTER(invocation_id);
	return 0;
}
