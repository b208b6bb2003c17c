/* SPDX-License-Identifier: MIT
 *
 * All connections and listening sockets of one process.
 */
#include "serve/population.h"

#include "record/message_id.h"

static void record_refusal(struct quota *quota, uid_t user, const char *why, uint64_t count)
{
	const struct population *population = CONTAINER_OF(quota, struct population, quota);
	long long uid = user == (uid_t)-1 ? -1LL : (long long)user;

	record_begin(population->recorder, LOG_WARNING, MESSAGE_ID_QUOTA);
	record_format(population->recorder, "MESSAGE", "User %lld has %s. Refused since the last such record: %llu", uid,
		      why, (unsigned long long)count);
	record_number(population->recorder, "PORTERD_CLIENT_UID", uid);
	(void)record_submit(population->recorder);
}

int population_open(struct population *population, const struct population_owner *owner, struct loop *loop,
		    struct recorder *recorder, size_t descriptors_max)
{
	*population = (struct population){ .owner = owner, .loop = loop, .recorder = recorder };
	population->quota.refuse = record_refusal;
	unread_init(&population->unread, &population->quota, descriptors_max);
	return buffer_open(&population->buffer);
}

void population_close(struct population *population)
{
	buffer_close(&population->buffer);
	buffer_close(&population->batch);
}

void population_count(const struct population *population, struct counts *ret)
{
	*ret = population->counts;
	ret->of[COUNT_CONNECTIONS] = population->n_connections;
	ret->of[COUNT_OVER_QUOTA] = population->quota.refused;
	ret->of[COUNT_DROPPED_RECORDS] = recorder_counts(population->recorder).dropped;
}
