/* SPDX-License-Identifier: MIT
 *
 * Who made a Varlink call.
 */
#include "services/caller.h"

#include "base/macro.h"

void caller_init(struct caller *caller, struct population *population, struct quota_share *share)
{
	*caller = (struct caller){
		.population = population,
		.share = share,
		.socket_fd = share ? share->fd : -EBADF,
	};
	identity_init(&caller->identity);
}

int caller_take_opens(struct caller *caller, size_t count)
{
	struct quota *quota = &caller->population->quota;
	size_t n_opens = MIN_OF(count, quota->limits[QUOTA_OPENS].user_max);

	if (quota_take(quota, caller->share, QUOTA_OPENS, n_opens) < 0)
		return -EBUSY;
	caller->n_opens = n_opens;
	return 0;
}

void caller_give_back_opens(struct caller *caller)
{
	if (caller->n_opens > 0)
		quota_give(&caller->population->quota, caller->share, QUOTA_OPENS, caller->n_opens);
	caller->n_opens = 0;
}

void caller_clear(struct caller *caller)
{
	opener_call_cancel(&caller->opener_call);
	caller_give_back_opens(caller);
	json_decref(TAKE_POINTER(caller->list));
	identity_clear(&caller->identity);
}

int caller_identify(struct caller *caller, unsigned parts)
{
	/* What a datagram brought is all there is, but for the unit of its pidfd. */
	if (caller->socket_fd < 0)
		return parts & IDENTITY_UNIT ? identity_read_unit(&caller->identity) : 0;

	return identity_read(&caller->identity, caller->socket_fd, parts);
}
