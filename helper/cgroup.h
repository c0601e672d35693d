/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cgroup: all programs of a cgroup (of version 2), stopped by the kernel's freezer, and let go on.
 *
 * Threads: the main loop's; what can block, which the kernel's locks may, is done in the pool.
 */
#ifndef REGIONFS_CGROUP_H
#define REGIONFS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* What a user has named, below CGROUP_ROOT or absolute: absolute, malloc'ed. NULL: why has a sentence. */
char *cgroup_path(const char *name, char *why, size_t why_len);
/* Can it be frozen, and not regiond with it? 0, or negative with a sentence in why. */
int cgroup_check(const char *path, char *why, size_t why_len);
/* Does regiond belong to that systemd unit, or to one in that slice? Whoever stops it stops us. */
bool cgroup_of_unit(const char *unit);

struct cgroup_job {
	const char *path;		/* as cgroup_path() has it; valid until done */
	bool freeze;			/* or thaw */
	uint32_t timeout_ms;
	/* All of it is frozen (or thawed); or error is negative, with a sentence. Never from within. */
	void (*done)(struct cgroup_job *job, int error, const char *why);
	/* cgroup.c's */
	struct loop *loop;
	struct loop_work work;
	struct loop_op op;
	struct loop_timer timer;
	int events;			/* cgroup.events; -1: the cgroup is gone */
	bool late;
	char text[128], why[256];
};

void cgroup_run(struct loop *loop, struct cgroup_job *job);

#endif
