/* SPDX-License-Identifier: MIT
 *
 * Servers as processes of their own.
 */
#include "bench/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "bench/measure.h"
#include "bench/place.h"

/* Where systemd puts the first socket; and where sockets wait meanwhile, out of each other's way. */
#define FIRST_SOCKET 3
#define PARKED_FROM 64
#define SOCKETS_MAX 16

/* A datagram socket with a name that the kernel chose; the name goes into the environment of a program. */
static int open_notify(char *name, size_t size)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(address);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	(void)snprintf(name, size, "@%.*s", (int)(length - offsetof(struct sockaddr_un, sun_path) - 1),
		       address.sun_path + 1);
	return TAKE_FD(fd);
}

/* In the child: the sockets become fd 3 and up. */
static int place_sockets(const struct process_start *start)
{
	int parked[SOCKETS_MAX];

	if (start->n_sockets > SOCKETS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < start->n_sockets; i++) {
		parked[i] = fcntl(start->sockets[i].fd, F_DUPFD_CLOEXEC, PARKED_FROM);
		if (parked[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < start->n_sockets; i++)
		if (dup2(parked[i], FIRST_SOCKET + (int)i) < 0)
			return -errno;
	return 0;
}

static void set_environment(const struct process_start *start, const char *notify)
{
	char number[24], names[256] = "";
	size_t length = 0;

	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", number, 1);
	(void)snprintf(number, sizeof(number), "%zu", start->n_sockets);
	(void)setenv("LISTEN_FDS", number, 1);
	for (size_t i = 0; i < start->n_sockets && length < sizeof(names); i++)
		length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s", i > 0 ? ":" : "",
					   start->sockets[i].name);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	(void)setenv("NOTIFY_SOCKET", notify, 1);
	(void)unsetenv("JOURNAL_STREAM");
	(void)unsetenv("WATCHDOG_USEC");
}

/* What every child of the bench does first. It must not outlive the bench, and the bench ends it, not the signal that
 * ends the bench. */
static void child_begin(int cpu, pid_t parent)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	(void)place_bind(cpu);
}

/* What the child tells its parent, in memory that they share. */
struct told {
	uint64_t started_nsec;
	int exec_error; /* errno; 0: exec succeeded */
};

static _Noreturn void child_exec(const struct process_start *start, const char *notify, struct told *told)
{
	int output = start->output ? open(start->output, O_WRONLY | O_CREAT | O_APPEND, 0600) : -EBADF;

	if (output >= 0) {
		(void)dup2(output, STDOUT_FILENO);
		(void)dup2(output, STDERR_FILENO);
		(void)close(output);
	}
	if (place_sockets(start) < 0)
		_exit(EXIT_FAILURE);
	set_environment(start, notify);
	told->started_nsec = now_nsec();
	(void)execv(start->arguments[0], (char *const *)(uintptr_t)start->arguments);
	told->exec_error = errno;
	_exit(127);
}

static bool has_ended(struct process *process)
{
	if (waitpid(process->pid, NULL, WNOHANG) != process->pid)
		return false;
	process->pid = 0;
	return true;
}

/* Does the message have the line READY=1? */
static bool is_ready(const char *message)
{
	static const char ready[] = "READY=1";

	for (const char *line = message; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, ready, strlen(ready)) == 0)
			return true;
		if (*line == '\0')
			break;
	}
	return false;
}

static int wait_ready(struct process *process, int notify)
{
	uint64_t end = now_nsec() + PROCESS_PATIENCE_NSEC;
	struct pollfd message = { .fd = notify, .events = POLLIN };

	while (now_nsec() < end) {
		char text[4096];
		ssize_t size;

		/* This socket does not tell when the process ends, so look from time to time. */
		if (poll(&message, 1, 50) <= 0) {
			if (has_ended(process))
				return -ENOEXEC;
			continue;
		}
		size = recv(notify, text, sizeof(text) - 1, MSG_DONTWAIT);
		if (size <= 0)
			continue;
		text[size] = '\0';
		process->ready_nsec = now_nsec();
		if (is_ready(text))
			return 0;
	}
	return -ETIMEDOUT;
}

int process_start(struct process *process, const struct process_start *start)
{
	char notify[64];
	_cleanup_close_ int notify_fd = open_notify(notify, sizeof(notify));
	pid_t pid, parent = getpid();
	struct told *told;
	int r;

	*process = (struct process){ 0 };
	if (notify_fd < 0)
		return notify_fd;
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		return -errno;

	/* *process may be in memory that the child shares: it must not write its own 0 there. */
	pid = fork();
	if (pid == 0) {
		child_begin(start->cpu, parent);
		child_exec(start, notify, told);
	}
	if (pid > 0)
		process->pid = pid;
	r = pid < 0 ? -errno : wait_ready(process, notify_fd);
	process->started_nsec = told->started_nsec;
	if (told->exec_error != 0) {
		process->not_run = start->arguments[0];
		r = -told->exec_error;
	}
	(void)munmap(told, sizeof(*told));
	if (r < 0)
		process_stop(process);
	return r;
}

int process_fork(struct process *process, int cpu, int (*serve)(void *data), void *data)
{
	pid_t pid, parent = getpid();

	*process = (struct process){ 0 };
	/* Or both would print what is in the buffers. */
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		child_begin(cpu, parent);
		_exit(serve(data) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	process->pid = pid;
	return 0;
}

void process_stop(struct process *process)
{
	uint64_t end = now_nsec() + PROCESS_PATIENCE_NSEC;

	if (process->pid <= 0)
		return;
	(void)kill(process->pid, SIGTERM);
	while (now_nsec() < end && !has_ended(process))
		(void)usleep(200);
	if (process->pid > 0) {
		(void)kill(process->pid, SIGKILL);
		(void)waitpid(process->pid, NULL, 0);
	}
	process->pid = 0;
}

uint64_t process_cpu_nsec(const struct process *process)
{
	clockid_t clock;

	if (process->pid <= 0 || clock_getcpuclockid(process->pid, &clock) != 0)
		return 0;
	return clock_nsec(clock);
}

int64_t process_memory_kb(const struct process *process, const char *field)
{
	_cleanup_(cleanup_file) FILE *file = NULL;
	char path[64], line[256];
	long long value;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)process->pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, field, strlen(field)) == 0 && sscanf(line + strlen(field), "%lld", &value) == 1)
			return value;
	return -ENODATA;
}
