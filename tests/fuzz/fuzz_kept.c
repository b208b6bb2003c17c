/* SPDX-License-Identifier: MIT
 *
 * What a porterd before has left in systemd's store. The input is the sealed file; each connection that it tells of
 * goes on, with a client that has left already or still listens (the lowest bit of its cookie).
 */
#include <sys/socket.h>

#include "handover/kept.h"
#include "kernel/fdset.h"
#include "serve/linger.h"
#include "services/table.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_server.h"

#define CONNECTIONS_MAX 8

static void go_on(const struct kept *kept)
{
	const struct protocol *protocol = strcmp(kept->name, linger_protocol.name) == 0 && kept->type == linger_protocol.type ?
						  &linger_protocol :
						  service_find(kept->name, kept->type);
	struct population *population = fuzz_server();
	char *data = NULL;
	size_t size = 0, n_fds = 0;
	int pair[2];

	fuzz_expect(kept->leftovers.has_unsent || kept->leftovers.unsent_size == 0);
	fuzz_expect(kept->unread_descriptors <= FDSET_MAX);
	if (!protocol || !protocol->restore)
		return;
	fuzz_socketpair(protocol->type, pair);
	if (kept->cookie & 1)
		(void)shutdown(pair[0], SHUT_RDWR);
	(void)connection_restore(population, protocol, pair[1], &kept->leftovers, kept->unread_descriptors);
	fuzz_server_run();
	(void)fuzz_server_receive(pair[0], &data, &size, &n_fds);
	fuzz_expect(n_fds == 0);
	free(data);
	(void)close(pair[0]);
	fuzz_server_run();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its own, so that reading on behind it is noticed. */
	void *copy = malloc(size + 1);
	struct kept_list list;

	fuzz_server_open("/nonexistent/opener");
	if (size > 0)
		memcpy(copy, data, size);
	copy = realloc(copy, size > 0 ? size : 1);
	if (kept_list_parse(&list, copy, size) == 0) {
		for (size_t i = 0; i < list.count; i++) {
			fuzz_expect(kept_list_find(&list, list.entries[i].cookie) == &list.entries[i]);
			if (i < CONNECTIONS_MAX)
				go_on(&list.entries[i]);
		}
		kept_list_clear(&list);
	}
	fuzz_expect(!list.entries && list.count == 0);
	free(copy);
	fuzz_server_check_idle();
	fuzz_check_fds();
	return 0;
}
