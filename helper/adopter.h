/* SPDX-License-Identifier: GPL-2.0 */
/*
 * adopter: what a leech (backends/leech.c) has of a managed region's store (managed.h), which is its local part where the region's source moves with it:
 * it knows no more of one than this. All on the home loop.
 */
#ifndef REGIONFS_ADOPTER_H
#define REGIONFS_ADOPTER_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct backend_open;
struct region;

struct adopter_left {
	bool kept;		/* the region has been this host's */
	bool empty;		/* nothing of it has come */
	bool dropped;		/* what is missing is not in it, durably */
	uint64_t missing;	/* bytes that have not come */
};

struct adopter {
	/* managed_adopt_open(), of a policy's text. */
	void (*open)(struct backend_open *open, const char *policy, bool fresh, bool owned, bool pushed);
	/* The backend is one that was opened so. managed_adopt(), managed_diverge(), managed_let_go() */
	void (*adopt)(struct backend *local);
	void (*diverge)(struct backend *local, bool diverged);
	void (*let_go)(struct backend *local);
	/* managed_is_handed() */
	bool (*is_handed)(struct backend *local);
	/* Its store goes with the host. */
	bool (*is_memory)(struct backend *local);
	/*
	 * These bytes never came: what its store has there, of whenever, goes. done(arg, error), maybe from within; durable with the next SYNC. One at a time. -ESHUTDOWN: it is being
	 * closed, or pushed already.
	 */
	void (*drop)(struct backend *local, uint64_t offset, uint64_t length, void (*done)(void *arg, int error), void *arg);
	/* Nothing more is asked of the other side, and all that it has is the region's: it is pushed from here on. */
	void (*push)(struct backend *local);
	/*
	 * Of such a store, of which push() might be said: it is pushed from here on. done(arg, error) when the source has, durably, what is here now; maybe from
	 * within. -ESHUTDOWN: the backend is being closed, or it is another host's as well.
	 */
	void (*drain)(struct backend *local, void (*done)(void *arg, int error), void *arg);
	/* Its region was removed, and there is something in it that the source could have, as soon as push() is said. */
	bool (*owes)(struct backend *local);
	/* It is about to be closed. What was written into it goes where it was not, or the region is removed. */
	void (*leave)(struct backend *local, const struct adopter_left *left);
};

/* managed-adopt.c's */
extern const struct adopter managed_adopter;

#endif
