// SPDX-License-Identifier: GPL-2.0
/* resident: see resident.h. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "log.h"
#include "resident.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define FILES 1048576

static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max = limit.rlim_max > FILES ? limit.rlim_max : FILES;
	if (setrlimit(RLIMIT_NOFILE, &limit) && !getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Without CAP_IPC_LOCK, all that is mapped counts against the limit, and what goes beyond can't be mapped at all: rather not locked, then. */
static void lock_memory(bool to_drop)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) && to_drop)
		log_warning("can't lock memory: its limit (LimitMEMLOCK=) can't be raised: %s", strerror(errno));
	else if (mlockall(MCL_CURRENT) || mlockall(MCL_FUTURE | MCL_ONFAULT))
		log_warning("can't lock memory: %s", strerror(errno));
}

void resident_start(bool to_drop)
{
	raise_files();
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		log_warning("can't become an I/O flusher: %s", strerror(errno));
	lock_memory(to_drop);
}
