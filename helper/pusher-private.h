/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pusher-private: what pusher*.c share. Everything that happens (a change, an answer, a timer) only notes itself and asks
 * for a look (pusher_kick()); pusher_look() alone decides and calls out, from the loop.
 */
#ifndef REGIONFS_PUSHER_PRIVATE_H
#define REGIONFS_PUSHER_PRIVATE_H

#include "pusher.h"
#include "window.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)

/* On the way of one generation, or of several that are published as one. */
enum batch_state {
	BATCH_OPENING,		/* the store makes durable what it has found; nobody may count on it before */
	BATCH_NONE,
	BATCH_LOCAL,		/* the store makes durable what is about to be sent */
	BATCH_SENDING,
	BATCH_ENDING,		/* SYNC or PUBLISH */
	BATCH_NOTING,		/* it is at the source, and the store makes durable that it knows */
};

struct batch {
	enum batch_state state;
	struct store_gen *gen;		/* NULL when NOTING */
	uint64_t oldest, upto;
	uint64_t last;			/* gen's, when it began to be sent */
	uint64_t id;
	uint64_t opened;		/* remote_opened() then */
	uint64_t cursor;		/* what ends at or below it was sent or is under way; UINT64_MAX: all */
	uint64_t reach;			/* the end of the farthest WRITE */
	uint64_t requests;
	bool publish;			/* staged requests, and a PUBLISH */
	bool allowed;			/* barriers_may_push() */
	bool resized;			/* the RESIZE went out */
	bool answered;			/* its first request was */
	bool busy;			/* io or end is under way */
	bool failed;			/* OPENING, NOTING: it is tried again at retry_at */
	int error;
	char why[256];
};

struct pusher {
	struct pusher_options options;
	struct barriers own;		/* where options has none: generations of this region's own */
	struct barrier_member member;
	struct loop_task task;
	struct loop_timer timer;
	bool posted;
	uint64_t wake;			/* when to look again at the latest; 0: never */
	struct batch batch;
	struct store_io io;		/* the batch's syncs of the store */
	struct backend_req end;		/* the batch's SYNC or PUBLISH */
	struct list sends;
	unsigned int nr_sends;
	uint64_t in_flight;		/* bytes of their buffers */
	struct window window;
	bool has_window;
	struct list waits;
	uint64_t target;		/* up to this generation is to be pushed now */
	uint64_t synced_at, syncing_at;	/* the store has made durable, and is making so, what was changed before */
	uint64_t size;			/* the source's, as far as RESIZE and WRITE have told; UINT64_MAX: see its caps */
	uint64_t retry_at;		/* not before, after an error */
	uint64_t hurried_at;		/* when a flush made it earlier */
	unsigned int tries, restaged;
	struct extents sent[2];		/* what was sent in this push-interval, and in the one before: hot when it changes again */
	uint64_t sent_turned;
	uint64_t due_gen, due_at;	/* when that generation may be due */
	uint64_t arrived;		/* bytes that were answered, zeroes too */
	uint64_t rate_at, rate_bytes;	/* where the measurement of the rate begins */
	uint64_t limit_at;		/* when limit() was last told */
	bool resting, closing;
	bool held;			/* pusher_hold() */
	uint64_t debt;			/* options.owes: bytes that there were when it was opened, where that is beyond the bound */
	uint64_t seen;			/* what was unpushed when that was looked at last */
	void (*closed)(void *arg);
	void *closed_arg;
	struct pusher_stats stats;
};

/* ---- pusher.c ---- */

static inline bool pusher_is_merging(const struct pusher *pusher, bool publish)
{
	return publish || pusher->member.barriers == &pusher->own;
}

/* Look again then, at the latest. */
void pusher_wake_at(struct pusher *pusher, uint64_t when);
/* Everything up to the newest change is to be pushed: ends the open generation if it has any of it. Returns the newest one. */
uint64_t pusher_aim(struct pusher *pusher);
/* Everybody who waits up to oldest (not included), or all with an error. */
void pusher_wake_waits(struct pusher *pusher, uint64_t oldest, int error);

/* ---- pusher-when.c: is it time to push, and how fast may writers go? ---- */

bool pusher_is_due(struct pusher *pusher, struct store_gen *gen, uint64_t now);
void pusher_was_sent(struct pusher *pusher, uint64_t start, uint64_t end);
/* A stretch of pushing begins, goes on, or has ended. */
void pusher_rate_begin(struct pusher *pusher, uint64_t now);
void pusher_rate_sample(struct pusher *pusher, uint64_t now, bool ended);
void pusher_tell_limit(struct pusher *pusher, uint64_t unpushed, uint64_t now);

/* ---- pusher-batch.c ---- */

/* Before anything else. */
void batch_open(struct pusher *pusher);
/* Nobody waits any longer to know what the store has: it may never be made durable. */
void batch_leave(struct pusher *pusher);
/* As far as it can go now. */
void batch_advance(struct pusher *pusher, uint64_t now);
/* The oldest generation that is not at the source, or not noted; UINT64_MAX: none. */
uint64_t batch_oldest(struct pusher *pusher);

/* ---- pusher-send.c ---- */

/* The size that the source gets with a generation that has one. */
uint64_t pusher_resize_to(const struct pusher *pusher, const struct store_gen *gen);
/* What all of a batch's requests have in common. */
void send_prepare(struct pusher *pusher, struct backend_req *req, enum backend_op op);
/* As much of the batch as may be under way; true: nothing is left to be sent. */
bool send_more(struct pusher *pusher, uint64_t now);

#endif
