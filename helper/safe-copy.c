// SPDX-License-Identifier: GPL-2.0
/* safe-copy: see safe-copy.h. A copy holds no lock and owns nothing, so the handler can leave it with a jump. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "safe-copy.h"

/* Of the thread that copies: where it is to, and how it gets out. Only its own handler, which interrupts it, looks at it. */
struct copy {
	volatile bool active;
	volatile uintptr_t start, end;
	sigjmp_buf out;
};

static _Thread_local struct copy copying;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int unable;

/* Is it of the instruction that was interrupted? Else somebody has sent it, or it tells of memory that is bad elsewhere. */
static bool is_fault(const siginfo_t *info)
{
	return info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR || info->si_code == BUS_ADRALN;
}

static void bus_error(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)context;
	if (is_fault(info) && copying.active && at >= copying.start && at < copying.end)
		siglongjmp(copying.out, 1);
	/* it ends us, as it would have: the instruction is run again, or it is sent again */
	signal(sig, SIG_DFL);
	if (!is_fault(info))
		raise(sig);
}

/* Not blocked while it is handled, since the handler does not return where it jumps. */
static void take_signal(void)
{
	struct sigaction action = { .sa_sigaction = bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigemptyset(&action.sa_mask);
	unable = sigaction(SIGBUS, &action, NULL) ? errno : 0;
}

int safe_copy(void *to, const void *from, size_t len)
{
	pthread_once(&once, take_signal);
	if (unable)
		return -EFAULT;
	copying.start = (uintptr_t)to;
	copying.end = copying.start + len;
	if (sigsetjmp(copying.out, 0)) {
		copying.active = false;
		return -EFAULT;
	}
	copying.active = true;
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(to, from, len);
	atomic_signal_fence(memory_order_seq_cst);
	copying.active = false;
	return 0;
}
