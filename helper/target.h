/* SPDX-License-Identifier: GPL-2.0 */
/*
 * target: what an export serves: a region of this instance (target-region.c), or a source that no region
 * here uses (target-source.c). A backend as seen from outside, with what its local users need around it.
 *
 * Threads: the main loop's alone.
 */
#ifndef REGIONFS_TARGET_H
#define REGIONFS_TARGET_H

#include "backend.h"
#include "wire.h"

struct region;
struct regiond;
struct target;

struct target_ops {
	/* As for a backend. What is read has been written by local programs, what is written they see afterwards. */
	void (*submit)(struct target *target, struct backend_req *req);
	void (*info)(struct target *target, struct wire_info *info);
	/*
	 * A writer elsewhere begins: local ones are kept out. done(arg, error, why), maybe from within; -EBUSY while
	 * there are local writers.
	 */
	void (*claim)(struct target *target, void (*done)(void *arg, int error, const char *why), void *arg);
	/* What it has staged, and not published, is dropped before what is submitted next. */
	void (*drop)(struct target *target);
	/* It has ended; there is a drop() in it. */
	void (*release)(struct target *target);
	/* No request is under way. Frees it, out of the loop maybe. */
	void (*close)(struct target *target);
};

struct target {
	const struct target_ops *ops;
};

/* A reference to the region is taken. */
int target_region(struct target **target, struct region *region);
/*
 * For a region that is being migrated: it is served as its backend has it, without asking the kernel, since what is
 * dirty in the page cache is tracked when it gets there.
 */
int target_region_plain(struct target **target, struct region *region);
/* Takes backend, open. */
int target_source(struct target **target, struct backend *backend);

#endif
