/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pusher: brings what the store has and the source has not there, generation by generation (barrier.h), behind the program's back. Neighbours go in
 * one request, as many at once as the path rewards (window.h); what fails for a while is tried again.
 *
 * A source that can publish at once (caps.publish) gets several generations together, where no other region has one in between: only
 * the newest version of each page is sent, by staged requests and one PUBLISH. Others get WRITE, DISCARD, RESIZE, then SYNC, a generation at a time; and so
 * does any where no order is kept, several generations at a time.
 *
 * Threads: the home loop alone.
 */
#ifndef REGIONFS_PUSHER_H
#define REGIONFS_PUSHER_H

#include <stdbool.h>
#include <stdint.h>

#include "barrier.h"
#include "policy.h"
#include "remote.h"
#include "store.h"

struct pusher;

/* Bytes that all pushers of a process have in memory; beyond it each has one short request. */
#define PUSHERS_MAX	(48u << 20)

struct pusher_options {
	struct loop *loop;
	struct store *store;
	struct remote *remote;
	const struct policy *policy;	/* outlives it */
	struct barriers *barriers;	/* the instance's; NULL where policy doesn't ask for barriers */
	bool owes;			/* what there is to push no program has written here: nobody is slowed for that */
	uint64_t region;		/* its id: barriers know it by that, should it be closed and opened again */
	uint32_t attach_gen;
	uint64_t epoch;
	void *arg;
	/* The writers of this region should not exceed this, bytes a second; 0: no limit. When it changes, at most every 100 ms; 0 at the end. */
	void (*limit)(void *arg, uint64_t bytes_per_second);
	/* Something was pushed, or failed for good (error, a sentence): for events and after-sync. */
	void (*pushed)(void *arg, int error, const char *why);
};

struct pusher_stats {
	bool pushing, away, stopped;	/* stopped: read-only, and drained */
	bool held;			/* pusher_hold() */
	uint64_t unpushed;		/* bytes */
	uint64_t oldest_ns;		/* age of the oldest; 0: none */
	uint64_t pushed;		/* bytes sent, in all */
	uint64_t generations;		/* published, in all */
	uint64_t saved;			/* bytes that need not be sent, since newer ones were */
	uint64_t rate;			/* bytes a second, of late */
	uint64_t in_flight;
	uint64_t limit;			/* as told by limit() */
	uint64_t waits_for;		/* the region that has to push something older first; 0: none */
	int error;			/* of the last attempt; 0: none */
	char why[256];
};

/* Waits for all that was changed before it. */
struct pusher_wait {
	/* 0: it is at the source, durably. Else why not, and it is still here. */
	void (*done)(struct pusher_wait *wait, int error);
	struct list list;
	uint64_t gen;
};

int pusher_open(struct pusher **pusher, const struct pusher_options *options);
/*
 * What is under way ends; the rest stays in the store. Waiters get -ESHUTDOWN. closed comes out of the loop. A request that waits for a source
 * that is away ends by remote_close(), which may be called right after this.
 */
void pusher_close(struct pusher *pusher, void (*closed)(void *arg), void *arg);
/* The generation that a change of now is given to store_change() with; read it just before. */
uint64_t pusher_gen(struct pusher *pusher);
/* The store was changed, or a generation was closed, or the source came back: look. Cheap, and from anywhere on the home loop. */
void pusher_kick(struct pusher *pusher);
/*
 * Closes the open generation where there is one to push, and calls back, out of the loop, when all is at the source. What has failed is tried again
 * at once, but not more often than once a second.
 */
void pusher_flush(struct pusher *pusher, struct pusher_wait *wait);
/* No more changes are to come (read-only, nobody has it open for writing): push now what there is, then rest. */
void pusher_rest(struct pusher *pusher, bool rest);
/*
 * Nothing goes to the source any more, until that is taken back: what is under way is left where it is, and counts as not sent. Whoever waits, or begins to,
 * gets -ESHUTDOWN.
 */
void pusher_hold(struct pusher *pusher, bool hold);
/* options.owes: it was all pushed. */
void pusher_settle(struct pusher *pusher);
/* All who wait get -ESHUTDOWN. */
void pusher_let_go(struct pusher *pusher);
/* Gives up waiting. */
void pusher_unwait(struct pusher_wait *wait);
/*
 * From now on in this domain, or (NULL) in none: nobody waits for this region any more, nor it for others. -EBUSY: there is something unpushed, which has
 * not been in the domain's order, so the region can't join.
 */
int pusher_set_barriers(struct pusher *pusher, struct barriers *barriers);
/* A program waits for a miss of this region: pushing gives way, as puller_demand_begin(). */
void pusher_demand_begin(struct pusher *pusher);
void pusher_demand_end(struct pusher *pusher, uint32_t length, uint64_t took_ns);
const struct pusher_stats *pusher_stats(struct pusher *pusher);
/* The ranges that are being sent, for a map. */
void pusher_each(struct pusher *pusher, void (*fn)(void *arg, uint64_t offset, uint64_t length), void *arg);

#endif
