/* SPDX-License-Identifier: MIT
 *
 * Preloaded by tests: makes one system call of the program fail, whoever makes it, the C library itself included. A
 * filter sends a signal for each system call; its handler counts the calls by name, makes the call itself, or says the
 * errno that the test wants (plan.h). What the dynamic loader does before is not seen.
 */
#include "tests/faults/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define REGISTER_NUMBER(context) ((context)->uc_mcontext.gregs[REG_RAX])
#define REGISTER_RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
static const int argument_registers[6] = { REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9 };
#define REGISTER_ARGUMENT(context, i) ((context)->uc_mcontext.gregs[argument_registers[i]])
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define REGISTER_RESULT(context) ((context)->uc_mcontext.regs[0])
#define REGISTER_ARGUMENT(context, i) ((context)->uc_mcontext.regs[i])
#endif

struct plan *plan_now;

bool plan_fails(struct plan *plan, const char *name, int *ret_error)
{
	struct plan_call *call = plan->calls;

	while (call->name[0] != '\0' && strcmp(call->name, name) != 0)
		if (++call == plan->calls + PLAN_CALLS_MAX - 1)
			return false;
	if (call->name[0] == '\0') {
		(void)snprintf(call->name, sizeof(call->name), "%s", name);
		plan->n_calls++;
	}
	call->count++;
	if (plan->nth == 0 || strcmp(plan->name, name) != 0 || --plan->nth > 0)
		return false;
	plan->failed++;
	*ret_error = plan->error;
	return true;
}

#ifdef ARCHITECTURE

static const struct {
	long number;
	const char *name;
} names[] = {
#define CALL(name) { SYS_##name, #name }
	CALL(accept4), CALL(bind), CALL(brk), CALL(clock_gettime), CALL(clock_nanosleep), CALL(clone), CALL(close),
	CALL(close_range), CALL(connect), CALL(copy_file_range), CALL(dup), CALL(dup3), CALL(epoll_create1),
	CALL(epoll_ctl), CALL(epoll_pwait), CALL(epoll_pwait2), CALL(eventfd2), CALL(exit), CALL(exit_group),
	CALL(faccessat), CALL(faccessat2), CALL(fallocate), CALL(fchmod), CALL(fchmodat), CALL(fchown), CALL(fchownat),
	CALL(fcntl), CALL(fdatasync), CALL(fgetxattr), CALL(flock), CALL(fsetxattr), CALL(fstat), CALL(fstatfs),
	CALL(fsync), CALL(ftruncate), CALL(futex), CALL(getdents64), CALL(getegid), CALL(geteuid), CALL(getgid),
	CALL(getpeername), CALL(getpid), CALL(getppid), CALL(getrandom), CALL(getresgid), CALL(getresuid),
	CALL(getrlimit), CALL(getsockname), CALL(getsockopt), CALL(gettid), CALL(getuid), CALL(getxattr),
	CALL(inotify_add_watch), CALL(inotify_init1), CALL(ioctl), CALL(kill), CALL(lgetxattr), CALL(linkat),
	CALL(listen), CALL(lseek), CALL(madvise), CALL(memfd_create), CALL(mkdirat), CALL(mmap), CALL(mprotect),
	CALL(mremap), CALL(munmap), CALL(nanosleep), CALL(newfstatat), CALL(openat), CALL(openat2), CALL(pidfd_open),
	CALL(pipe2), CALL(ppoll), CALL(prctl), CALL(pread64), CALL(prlimit64), CALL(pselect6), CALL(pwrite64),
	CALL(read), CALL(readlinkat), CALL(readv), CALL(recvfrom), CALL(recvmmsg), CALL(recvmsg), CALL(renameat2),
	CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigtimedwait), CALL(sched_getaffinity), CALL(sendfile),
	CALL(sendmmsg), CALL(sendmsg), CALL(sendto), CALL(setitimer), CALL(setsockopt), CALL(setxattr), CALL(shutdown),
	CALL(signalfd4), CALL(socket), CALL(socketpair), CALL(splice), CALL(statfs), CALL(statx), CALL(tgkill),
	CALL(timerfd_create), CALL(timerfd_settime), CALL(tkill), CALL(umask), CALL(unlinkat), CALL(waitid),
	CALL(wait4), CALL(write), CALL(writev),
	/* The older of these exist on older architectures alone. */
#ifdef SYS_open
	CALL(access), CALL(alarm), CALL(arch_prctl), CALL(dup2), CALL(epoll_wait), CALL(fork), CALL(lstat), CALL(open),
	CALL(pipe), CALL(poll), CALL(readlink), CALL(stat), CALL(time), CALL(unlink),
#endif
#ifdef SYS_renameat
	CALL(renameat),
#endif
	CALL(name_to_handle_at), CALL(open_by_handle_at), CALL(pidfd_send_signal),
#undef CALL
};

/* The one place from which system calls are let through. */
long faults_call(long number, const long *arguments);
extern const char faults_call_end[];

#if defined(__x86_64__)
__asm__(".pushsection .text.faults, \"ax\", @progbits\n"
	".balign 64\n"
	".globl faults_call\n.hidden faults_call\n.type faults_call, @function\n"
	"faults_call:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %r11\n"
	"	mov 0(%r11), %rdi\n"
	"	mov 8(%r11), %rsi\n"
	"	mov 16(%r11), %rdx\n"
	"	mov 24(%r11), %r10\n"
	"	mov 32(%r11), %r8\n"
	"	mov 40(%r11), %r9\n"
	"	syscall\n"
	".globl faults_call_end\n.hidden faults_call_end\n"
	"faults_call_end:\n"
	"	ret\n"
	".size faults_call, . - faults_call\n"
	".popsection\n");
#else
__asm__(".pushsection .text.faults, \"ax\", @progbits\n"
	".balign 64\n"
	".globl faults_call\n.hidden faults_call\n.type faults_call, @function\n"
	"faults_call:\n"
	"	mov x8, x0\n"
	"	mov x9, x1\n"
	"	ldp x0, x1, [x9]\n"
	"	ldp x2, x3, [x9, #16]\n"
	"	ldp x4, x5, [x9, #32]\n"
	"	svc #0\n"
	".globl faults_call_end\n.hidden faults_call_end\n"
	"faults_call_end:\n"
	"	ret\n"
	".size faults_call, . - faults_call\n"
	".popsection\n");
#endif

/* A signalfd, timerfd and the like: reading from them fails in other ways than from a file. */
static bool is_event(int fd)
{
	char path[32], target[16] = "";
	const long arguments[6] = { AT_FDCWD, (long)path, (long)target, sizeof(target) - 1 };

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return faults_call(SYS_readlinkat, arguments) > 0 && strncmp(target, "anon_inode:", 11) == 0;
}

static const char *name_of(long number, const long *arguments, char unknown[static PLAN_NAME_SIZE])
{
	if (number == SYS_read && is_event((int)arguments[0]))
		return "read event";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == number)
			return names[i].name;
	(void)snprintf(unknown, PLAN_NAME_SIZE, "call %ld", number);
	return unknown;
}

static bool waits_for_events(long number, const long *arguments)
{
#ifdef SYS_epoll_wait
	if (number == SYS_epoll_wait)
		return (int)arguments[3] != 0;
#endif
	if (number == SYS_epoll_pwait)
		return (int)arguments[3] != 0;
	if (number == SYS_epoll_pwait2) {
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): that is what the kernel is told. */
		const struct timespec *timeout = (const struct timespec *)arguments[3];

		return !timeout || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
	}
	return false;
}

static long fail(long number, const long *arguments, int error)
{
	static const long none[6];

	/* The descriptor is gone all the same. */
	if (number == SYS_close)
		(void)faults_call(number, arguments);
	/* This one says where the break is, and has no errno. */
	if (number == SYS_brk)
		return faults_call(number, none);
	return -error;
}

static void on_call(int signal_number, siginfo_t *info, void *data)
{
	ucontext_t *context = data;
	long arguments[6], number = info->si_syscall, result;
	char unknown[PLAN_NAME_SIZE];
	bool waits;
	int error;

	(void)signal_number;
	for (int i = 0; i < 6; i++)
		arguments[i] = (long)REGISTER_ARGUMENT(context, i);
	waits = waits_for_events(number, arguments);
	if (waits)
		__atomic_add_fetch(&plan_now->waits, 1, __ATOMIC_SEQ_CST);
	if (plan_fails(plan_now, name_of(number, arguments, unknown), &error))
		result = fail(number, arguments, error);
	else
		result = faults_call(number, arguments);
	if (waits)
		__atomic_add_fetch(&plan_now->waits, 1, __ATOMIC_SEQ_CST);
	REGISTER_RESULT(context) = result;
}

/* What may not come here: the way back from the handler, and the signal mask, which that way restores. */
static int install_filter(void)
{
	uint64_t from = (uint64_t)(uintptr_t)faults_call, to = (uint64_t)(uintptr_t)faults_call_end;
	const uint32_t high = offsetof(struct seccomp_data, instruction_pointer) + 4;
	const uint32_t low = offsetof(struct seccomp_data, instruction_pointer);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 5, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, high),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(from >> 32), 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)from, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)to, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* glibc's own, since 2.41, may take memory for it with every signal kept out, the filter's too: that would be the end. */
ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
	return syscall(SYS_getrandom, buffer, size, flags);
}

static struct plan *map_plan(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *data = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		(void)close(fd);
	return data == MAP_FAILED ? NULL : data;
}

static void __attribute__((constructor)) begin(void)
{
	/* What interrupts a call may make calls itself. */
	struct sigaction action = { .sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER };
	const char *path = getenv("FAULT_PLAN");
	struct plan *plan = path ? map_plan(path) : NULL;

	if (!plan)
		return;
	(void)sigemptyset(&action.sa_mask);
	if (sigaction(SIGSYS, &action, NULL) < 0)
		_exit(99);
	plan_now = plan;
	if (install_filter() < 0)
		_exit(98);
}

#endif
