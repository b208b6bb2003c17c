/* SPDX-License-Identifier: MIT
 *
 * What each of several workers may have of what the whole daemon may.
 */
#include "porterd/config.h"

#include "tests/base/unit.h"

static const struct shares {
	size_t workers, connections, users, bytes, opens;
} shares[] = {
	{ 2, 4096, 1024, 64 << 20, 256 },
	{ 3, 10, 4, 5 << 20, 7 },
	{ 7, 1000, 1000, 100 << 20, 300 },
	{ 64, 1000000, 64, 512 << 20, 1000000 },
};

START_TEST(shares_are_as_much_together_as_before)
{
	const struct shares *all = &shares[_i];
	struct shares sum = { 0 };

	for (size_t i = 0; i < all->workers; i++) {
		struct config config = {
			.connections_max = all->connections,
			.quota = { .connections = all->users, .bytes = all->bytes, .opens = all->opens },
		};

		config_share(&config, i, all->workers);
		sum.connections += config.connections_max;
		sum.users += config.quota.connections;
		sum.bytes += config.quota.bytes;
		sum.opens += config.quota.opens;
		/* Who may have all of them is not limited: it stays so for each. */
		if (all->users == all->connections)
			ck_assert_uint_eq(config.quota.connections, config.connections_max);
		/* None is left with much less than another. */
		ck_assert_uint_ge(config.connections_max, all->connections / all->workers);
		ck_assert_uint_le(config.connections_max, all->connections / all->workers + 1);
	}
	ck_assert_uint_eq(sum.connections, all->connections);
	ck_assert_uint_eq(sum.users, all->users);
	ck_assert_uint_eq(sum.bytes, all->bytes);
	ck_assert_uint_eq(sum.opens, all->opens);
}
END_TEST

START_TEST(defaults_are_shared_too)
{
	struct config config = config_default();

	config_share(&config, 0, 4);
	ck_assert_uint_eq(config.connections_max, CONFIG_CONNECTIONS_MAX / 4);
	ck_assert_uint_eq(config.quota.connections, CONFIG_CONNECTIONS_MAX / 4 / 4);
	ck_assert_uint_eq(config.quota.bytes, QUOTA_USER_BYTES / 4);
	ck_assert_uint_eq(config.quota.opens, QUOTA_USER_OPENS / 4);
}
END_TEST

/* A message can be a megabyte, and nobody is served by no connection. */
START_TEST(a_share_is_of_use)
{
	struct config config = {
		.connections_max = 4,
		.quota = { .connections = 1, .bytes = 1 << 20, .opens = 1 },
	};

	config_share(&config, 3, 4);
	ck_assert_uint_eq(config.connections_max, 1);
	ck_assert_uint_eq(config.quota.connections, 1);
	ck_assert_uint_eq(config.quota.bytes, 1 << 20);
	ck_assert_uint_eq(config.quota.opens, 1);
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(shares_are_as_much_together_as_before, ELEMENTSOF(shares)),
		UNIT_TEST(defaults_are_shared_too),
		UNIT_TEST(a_share_is_of_use),
		{ 0 },
	};

	return unit_run("config", tests, NULL);
}
