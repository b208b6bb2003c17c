/* SPDX-License-Identifier: MIT
 *
 * What several processes share.
 */
#include "crew/crew.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/macro.h"

size_t crew_default_count(void)
{
	/* The kernel refuses a set that is too small for its CPUs. */
	cpu_set_t sets[8];
	int count;

	if (sched_getaffinity(0, sizeof(sets), sets) < 0)
		return 1;
	count = CPU_COUNT_S(sizeof(sets), sets) / 2;
	return count < 1 ? 1 : MIN_OF((size_t)count, (size_t)WORKERS_MAX);
}

/* One line more, for what is everybody's. */
static size_t reports_size(size_t count)
{
	return (count + 1) * sizeof(struct worker_report);
}

int crew_open(struct crew *crew, size_t count, uint64_t sign_usec)
{
	void *reports = mmap(NULL, reports_size(count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			     -1, 0);
	int pair[2];

	*crew = (struct crew){ .count = count, .sign_usec = sign_usec, .pass_fd = -EBADF, .passed_fd = -EBADF };
	/* One more, for the supervisor. */
	crew->bells = calloc(count + 1, sizeof(*crew->bells));
	if (reports != MAP_FAILED)
		crew->reports = reports;
	if (!crew->reports || !crew->bells)
		return -ENOMEM;
	crew->store_room = (_Atomic uint32_t *)&crew->reports[count];
	crew->settings = crew->store_room + 1;
	for (size_t i = 0; i <= count; i++) {
		crew->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (crew->bells[i] < 0)
			return -errno;
	}
	crew->supervisor_bell = crew->bells[count];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	crew->pass_fd = pair[0];
	crew->passed_fd = pair[1];
	return 0;
}

void crew_close(struct crew *crew)
{
	/* 0 is none: such a number would have been the first one's. */
	for (size_t i = 0; crew->bells && i <= crew->count && crew->bells[i] > 0; i++)
		fd_close(crew->bells[i]);
	free(crew->bells);
	if (crew->pass_fd > 0)
		fd_close(crew->pass_fd);
	if (crew->passed_fd > 0)
		fd_close(crew->passed_fd);
	if (crew->reports)
		(void)munmap(crew->reports, reports_size(crew->count));
	*crew = (struct crew){ 0 };
}

void crew_ring(int bell)
{
	uint64_t once = 1;

	/* It is full only if nobody has looked for 2^64 times. */
	(void)!write(bell, &once, sizeof(once));
}

uint64_t crew_count_of(const struct crew *crew, size_t index, enum count count)
{
	return atomic_load_explicit(&crew->reports[index].counts[count], memory_order_relaxed);
}
