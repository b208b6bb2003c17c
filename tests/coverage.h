/* SPDX-License-Identifier: MIT
 *
 * Included before everything else where lines are counted (configure --enable-coverage): a process that ends by
 * _exit() or by the signal that asks it to would take its counts with it.
 */
#pragma once

#include <signal.h>
#include <unistd.h>

void __gcov_dump(void);

static inline _Noreturn void coverage_exit(int status)
{
	__gcov_dump();
	_exit(status);
}

static inline void coverage_end(int number)
{
	coverage_exit(128 + number);
}

static inline void (*coverage_signal(int number, void (*handler)(int)))(int)
{
	return signal(number, number == SIGTERM && handler == SIG_DFL ? coverage_end : handler);
}

#define _exit(status) coverage_exit(status)
#define signal(number, handler) coverage_signal(number, handler)
