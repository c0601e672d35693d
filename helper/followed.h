/* SPDX-License-Identifier: GPL-2.0 */
/*
 * followed: what a region's followers need of those who change it. Each has a tracker of its own, and while it fetches a round, a snapshot: the
 * region as it was when that round was closed. What is about to change a chunk of the round waits until the chunk has been copied.
 *
 * Threads: followed_note() and followed_hold() any; the rest the main loop's. Life: the region's own, from its first follower on.
 */
#ifndef REGIONFS_FOLLOWED_H
#define REGIONFS_FOLLOWED_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "list.h"
#include "snapshot.h"
#include "tracker.h"

struct export_session;
struct followed;
struct region;

/* One follower, as the seeder sees it. Its tracker outlives the helper, as the region's own does. */
struct follow {
	struct list list;
	uint8_t client[16];
	struct tracker *tracker;
	struct snapshot *snapshot;	/* of the round that was closed last; NULL: none */
	struct export_session *session;	/* seeder-follow.c's; NULL: it is away */
	uint64_t away_at;		/* loop_now_ns() when it went */
	uint64_t size;			/* of the region, when its round was closed */
	bool heard;			/* that the region has moved, and has what was changed last */
};

void followed_free(struct followed *followed);
/* Those that an earlier helper has tracked for; before the first request is carried out. */
void followed_recall(struct region *region);

/* NULL: nothing is tracked for it. */
struct follow *followed_find(const struct region *region, const uint8_t client[16]);
/* Tracking has not begun. NULL: no memory. */
struct follow *followed_add(struct region *region, const uint8_t client[16]);
/* Nothing is tracked for it any more. */
void followed_drop(struct region *region, struct follow *follow);
void followed_drop_all(struct region *region);
/* fn for each, which must not add or drop. */
void followed_each(const struct region *region, void (*fn)(struct follow *follow, void *arg), void *arg);
unsigned int followed_count(const struct region *region);
/* Its tracker becomes the region's own, and it is a follower no longer: nothing that is noted meanwhile is missed. */
void followed_promote(struct region *region, struct follow *follow);

/*
 * Closes the follower's round, and begins a snapshot of that moment. limit: bytes that may be copied. *size: the region's, then.
 * -ENOMEM, or what no file for copies comes of; the round was not closed then.
 */
int follow_close_round(struct region *region, struct follow *follow, uint64_t limit, uint64_t *size);
/* It has what it needs of that. */
void follow_end_round(struct region *region, struct follow *follow);

/* A request has been done. */
void followed_note(struct region *region, const struct backend_req *req);
/* One is about to be done: true when it has to wait, until region_start_again(). */
bool followed_hold(struct region *region, struct backend_req *req);

#endif
