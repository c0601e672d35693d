/* SPDX-License-Identifier: GPL-2.0 */
/* What the files region*.c share. */
#ifndef REGIONFS_REGION_PRIVATE_H
#define REGIONFS_REGION_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "region.h"

struct regions {
	struct regiond *regiond;
	pthread_rwlock_t lock;
	struct list *bucket;
	size_t nr_buckets;		/* a power of two */
	size_t nr_regions;
	struct list open;		/* that have a backend; main loop only */
	size_t nr_open;
};

/* Finds or makes it; with a reference. NULL: out of memory. Any thread. */
struct region *region_know(struct regions *regions, uint64_t id);
/* One request less in the backend. Any thread. */
void region_leave(struct region *region);
/* The requests that wait: to their regions again, or failed. */
void region_release_waiting(struct region *region, int error);
bool region_has_waiting(struct region *region);
/* Any thread: region_advance() on the main loop, soon. */
void region_kick(struct region *region);
void region_kicked(struct loop_task *task);
/* Main loop: does what the state and those who wait ask for. */
void region_advance(struct region *region);
/* ---- main loop: region-open.c and region-close.c ---- */

void region_start_open(struct region *region);
/* With region->destroy set, in one of the states in which nothing is under way. */
void region_advance_destroy(struct region *region, enum region_state state);
void region_advance_closing(struct region *region);
/* With region->destroy set: does somebody still need what is here? Who can be given up is. */
bool region_is_kept(struct region *region);
/* Whoever waits in region_open() hears. */
void region_tell_openers(struct region *region, int error);
/* A managed one that could not be opened is tried again, later and later. */
void region_retry_managed(struct region *region);
void region_stop_retrying(struct region *region);
/* It has ended: answers DESTROY, and forgets it. */
void region_destroyed(struct region *region);

/* Main loop, with a backend that has just been opened: the kernel may read its file itself, or may not any more. region-local.c */
void region_tell_local(struct region *region);

/* Main loop, once it is ready: the kernel hears of what opening the backend has changed. */
void region_tell_replayed(struct region *region);
/* Main loop: its source was changed by others. What the kernel has cached of it, and is not dirty, goes; once the region is ready. */
void region_tell_changed(struct region *region);
/* What was done before it was opened, told at once: all that programs here have changed is at the source. */
void region_tell_replayed_before(struct region *region);

/* Likewise, of a managed one whose store is longer than the kernel knows. opened: the size that it was opened with. */
void region_tell_grown(struct region *region, uint64_t opened);

/* ---- region-size.c ---- */

/* Any thread, before the request is answered: it has succeeded, and may have changed the size. */
void region_size_note(struct region *region, const struct backend_req *req);
/* Any thread: does the state log know of all such changes? It need not be on the disk yet. */
bool region_size_mirrored(struct region *region);
/* The kernel told it, when it was asked then (0: it is the helper that has told the kernel). true: that was news for info. */
bool region_size_heard(struct region *region, uint64_t size, uint64_t asked_ns);
/* The size to the state log, where requests have changed it. */
void region_mirror_size(struct region *region);
/* While a file grows it is enough to write that down now and then; a SYNC doesn't wait for this. */
void region_mirror_size_later(struct region *region);

/* What is open, or being opened, is not what is wanted any more: it is closed, and the next request opens another one. region-open.c */
void region_open_another(struct region *region);
/* To a managed one that is open: may it still be written, by mode, flags and who has it open? */
void region_tell_writable(struct region *region);
/* To the state directory. */
void region_mirror(struct region *region);

#endif
