/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pressure: is memory short on this host? By the kernel's pressure stall information where it has that, else by what is available.
 *
 * Threads: one loop's alone. Life: pressure_open() to pressure_close()'s callback. Or, for all of a process that would know: pressure_watch() to
 * pressure_unwatch(); they share one.
 */
#ifndef REGIONFS_PRESSURE_H
#define REGIONFS_PRESSURE_H

#include <stdbool.h>

#include "list.h"
#include "loop.h"

#define PRESSURE_PSI		"/proc/pressure/memory"
#define PRESSURE_MEMINFO	"/proc/meminfo"

struct pressure {
	/* the caller's */
	struct loop *loop;
	void (*changed)(struct pressure *pressure);
	bool high;
	/* pressure.c's */
	const char *meminfo;
	int fd;
	struct loop_op poll;
	struct loop_timer timer;
	struct loop_task end;
	bool polling;
	void (*closed)(struct pressure *pressure);
};

/* While there is CAP_SYS_RESOURCE, which the kernel asks for where it is to tell within less than 2 s: whoever opens PRESSURE_PSI later, has it. */
void pressure_prepare(void);
/* loop and changed are set. Either file may not be there. */
void pressure_open(struct pressure *pressure, const char *psi, const char *meminfo);
struct pressure_watch {
	void (*changed)(struct pressure_watch *watch);
	/* pressure.c's */
	struct list list;
	bool watching;
};

/* The first one opens it, with these files; for nothing while it watches already. */
void pressure_watch(struct pressure_watch *watch, struct loop *loop, const char *psi, const char *meminfo);
/* The last one closes it. Not from within changed(). */
void pressure_unwatch(struct pressure_watch *watch);
/* While somebody watches. */
bool pressure_is_high(void);

/* closed out of the loop. */
void pressure_close(struct pressure *pressure, void (*closed)(struct pressure *pressure));

#endif
