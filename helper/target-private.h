/* SPDX-License-Identifier: GPL-2.0 */
/* What target-region.c, target-claim.c and target-size.c share. The main loop's alone. */
#ifndef REGIONFS_TARGET_PRIVATE_H
#define REGIONFS_TARGET_PRIVATE_H

#include "netlink.h"
#include "region.h"
#include "state.h"
#include "target.h"

struct shared;

/* A request on its way through a batch. */
struct step {
	struct list list;
	uint64_t offset, end;		/* end 0: to the end of the region */
	void (*then)(struct step *step, int error);
};

/* A request on its way to make the kernel know of a size. */
struct size_step {
	struct list list;
	uint64_t size;
	bool exact;			/* RESIZE: not only at least so much */
	void (*then)(struct size_step *step, int error);
};

struct batch {
	struct netlink_call call;
	struct shared *shared;
	uint8_t cmd;
	bool busy;
	struct list next, running;
};

struct shared {
	struct target target;
	struct region *region;
	struct batch writeback, invalidate;
	bool plain;
	struct backend_published owed;	/* of a PUBLISH that failed, but may be done since: the next one tells the kernel of both */
	/* target-size.c's */
	uint64_t size;			/* the kernel's, as it has said in claim, or was told since */
	struct list sizing;		/* steps; the first one is under way */
	unsigned int size_tries;
	struct netlink_call size_call;
	/* target-claim.c's */
	bool wrote;			/* a peer has become the writer, and not been released since: what is staged is its */
	bool revoked;			/* we have made it read-only; region->info.claimed says so to the next helper */
	struct state_waiter marked;
	struct netlink_call call;
	int claim_error;		/* why it is being given back */
	char claim_why[256];
	void (*claimed)(void *arg, int error, const char *why);
	void *claim_arg;
};

static inline struct shared *to_shared(struct target *target)
{
	return container_of(target, struct shared, target);
}

/* ---- target-claim.c: of target_ops ---- */

void shared_claim(struct target *target, void (*done)(void *arg, int error, const char *why), void *arg);
void shared_drop(struct target *target);
void shared_release(struct target *target);

/* ---- target-size.c ---- */

/* The kernel learns of the size, if it doesn't know; then step->then(), maybe from within. */
void shared_size(struct shared *shared, struct size_step *step);

#endif
