/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What backends/leech.c (life), leech-request.c (requests), leech-fetch.c (fetching), leech-flush.c (what outlives the host) and
 * leech-own.c (the hand-over) share.
 */
#ifndef REGIONFS_BACKENDS_LEECH_PRIVATE_H
#define REGIONFS_BACKENDS_LEECH_PRIVATE_H

#include "backends/leech-elsewhere.h"
#include "backends/leech.h"
#include "backends/peer.h"
#include "bitmap.h"
#include "leech-record.h"

#define LEECH_BULK	(256u << 10)	/* bytes of a fetch that no program waits for, at most */
#define LEECH_PULLS	32u		/* of the background's at a time, at most */
#define LEECH_FETCHES	96u		/* with readahead, and those that programs wait for, */
#define LEECH_URGENT	32u		/* which have so many for themselves */

struct leech {
	struct backend backend;
	char *map_path;
	struct chunkmap *map;
	struct leech_record *record;
	struct loop_work loading;	/* the record, when it is opened */
	struct list flushes;
	unsigned int nr_flushes, nr_notes;	/* that are under way; saves of the record's head */
	bool rebuilt;			/* the map went with the host, and was made of the record */
	uint64_t *busy;			/* chunks that are being fetched, or overwritten whole */
	uint64_t busy_bits;
	struct backend *local, *peer;
	struct backend_open opening;	/* of local, then of peer */
	struct backend_open outer;	/* what we were opened with */
	bool dialling;			/* peer is being opened */
	bool served;			/* we are open */
	bool adopts;			/* local is a managed one: adopter.h */
	int error;			/* of open */
	struct list blocked;		/* requests that wait for chunks */
	struct list fetches;
	struct list lasts;		/* leech-last.c */
	struct chunkmap_owner last_owner;	/* of the hand-over that they are of */
	unsigned int nr_fetches, nr_pulls;
	uint64_t cursor;		/* where pulling goes on */
	bool piecemeal;			/* some of what the other side has cannot be read there: chunk by chunk */
	uint64_t unreadable;		/* chunks of these, since all were tried last */
	uint64_t keep_off;		/* no fetch from this chunk on: a RESIZE waits, or is under way */
	bool pulling, closing;
	bool parting, peer_closed;	/* the peer is being let go of; has been */
	bool all_here;			/* when it was opened: there is no peer */
	bool unblocking, unblock_again;
	struct loop_timer retry;
	uint64_t retry_ms;		/* how long was waited for what is unreadable, last; 0: not yet */
	struct leech_stats stats;
	struct leech_watch *watch;
	struct leech_flush *behind;	/* now and then, while it is pulled; NULL: none is under way */
	struct loop_timer flush_timer;
	/* set_size */
	uint64_t new_size;
	void (*sized)(void *arg, int error);
	void *sized_arg;
	struct backend_req resize;
	/* the hand-over's last messages */
	struct link_req message;
	uint8_t body[64];
	bool telling, completing;
	bool owned_heard;		/* the other side knows that it is owned here */
	struct loop_timer redial;
	struct leech_elsewhere *elsewhere;
	struct {
		bool under_way;
		bool once, done;		/* the source has had all that was here; and nothing was missing */
		struct leech_record_waiter noted;
		struct loop_timer timer;
	} drain;			/* leech-drain.c's */
	struct {
		bool posted, under_way;
		bool over;
		bool waits;			/* for those who are at what it has skipped */
		bool running, more;
		bool leaving;			/* the region was removed: this goes on while we are closed */
		unsigned int tries;		/* since */
		int error;
		uint64_t at, skipped;		/* chunks */
		struct loop_task task;
		struct loop_timer timer;
		void (*done)(void *arg, int error);	/* NULL: nobody waits */
		void *done_arg;
	} rest;				/* leech-rest.c's */
	unsigned int nr_orphans;	/* fetches that nothing is made of any more */
	struct leech_record_waiter decided;
	void (*own_done)(void *arg, int error);
	void *own_arg;
	void (*gone_on)(void *arg, int error);	/* leech_let_go()'s */
	void *gone_on_arg;
	void (*kept)(void *arg, int error);	/* leech_keep()'s */
	void *kept_arg;
};

/* What was answered before is made durable: the local store, then the record of what is in it. */
struct leech_flush {
	struct list list;		/* leech's */
	struct leech *leech;
	struct backend_req sync;
	struct leech_snapshot *snapshot;
	struct leech_record_waiter saved;
	void (*done)(struct leech_flush *flush, int error);	/* frees it */
	struct backend_req *outer;	/* done's */
};

/* One read from the peer, and the write of it. */
struct fetch {
	struct list list;
	struct leech *leech;
	uint64_t first, end;		/* chunks */
	bool demand, stale;
	bool storing;			/* it has come */
	uint64_t taken;			/* chunks of it that came from elsewhere meanwhile */
	uint8_t *buffer;
	struct backend_req peer, local;
};

/* leech.c */
/* The other side, as soon as it is there. */
void leech_dial(struct leech *leech);
/* The record says that it is this host's. */
bool leech_is_ours(const struct leech *leech);
void leech_close_more(struct leech *leech);

/* leech-request.c */
void leech_submit(struct backend *backend, struct backend_req *req);
/* Chunks have come, or failed to: looks at the requests that wait. */
void leech_unblock(struct leech *leech);
/* A chunk that a program waits for, and that fits. */
bool leech_wanted(const struct leech *leech, bool (*fits)(const struct leech *leech, uint64_t chunk), uint64_t *chunk);
void leech_fail_blocked(struct leech *leech, uint64_t first, uint64_t end, int error);

/* leech-fetch.c */
/* Starts fetching the chunk, and those absent after it up to end, if it isn't under way and there is room for it. */
void leech_want(struct leech *leech, uint64_t chunk, uint64_t end, bool demand);
void leech_pull_more(struct leech *leech);
/* After a failure. */
void leech_pull_later(struct leech *leech);
/* Before it is owned here no program waits for what comes; from then on some do. */
void leech_share_path(struct leech *leech);
/* What could not be read over there may be by now, or be somewhere else: it is asked for again at once, or nearly. */
void leech_retry_soon(struct leech *leech);
bool leech_is_busy(const struct leech *leech, uint64_t first, uint64_t end);
int leech_fit_busy(struct leech *leech);
/* What is under way of these chunks counts for nothing. */
void leech_outdate(struct leech *leech, uint64_t first, uint64_t end);
/* One that is not asked for yet, of a chunk that is absent. NULL: it is here, or under way, or there is no memory. */
struct fetch *leech_fetch_hold(struct leech *leech, uint64_t chunk);
/* Its bytes are in its buffer, or are all zero. */
void leech_fetch_given(struct fetch *fetch, bool zero);
/* Asks for it after all. */
void leech_fetch_ask(struct fetch *fetch);

/* leech-last.c */
/* What has come, and nobody waits for. */
void leech_drop_lasts(struct leech *leech);

/* This one of it is had from elsewhere. */
void leech_take_from(struct fetch *fetch, uint64_t chunk);

/* leech-flush.c */
/* outer: for done. NULL: no memory. */
struct leech_flush *leech_flush_start(struct leech *leech, struct backend_req *outer,
				      void (*done)(struct leech_flush *flush, int error));
/* A request's answer waits for it. */
void leech_flush_for(struct leech *leech, struct backend_req *req);
/* Now and then, from now on. */
void leech_flush_behind(struct leech *leech);

/* leech-drain.c */
/* Is COMPLETE not to be said yet, since nobody but this host's memory and the other side has it? Then leech_complete() comes again. */
bool leech_drains(struct leech *leech);
/* Durably, before the first push of a store in memory: by drain.noted, once at a time; done() takes it off nr_notes. */
void leech_note_pushing(struct leech *leech, void (*done)(struct leech_record_waiter *waiter, int error));

/* leech-rest.c */
/*
 * What is missing never comes: what the local store has of it is dropped, durably, then the rest is pushed, and done(arg, error) comes; NULL: it is tried until it succeeds. false: the
 * source does not move with it, and there is nothing to do, or it is under way.
 */
bool leech_drop_rest(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/* Of one that is LOST and in memory: what is here goes to the source, whether or not the rest ever comes. */
void leech_drain_lost(struct leech *leech);
/*
 * We are being closed, and nobody is at anything any more. Where the region was removed before it could be pushed, what is here goes to the source all the same, and the store's older bytes
 * of what is missing do not: these are dropped. true: leech_close_more() comes again.
 */
bool leech_drop_last(struct leech *leech);
/* Somebody is not at his chunks any more. */
void leech_rest_more(struct leech *leech);

/* leech-own.c */
/* Two hosts have it: nothing of it is pushed until it is known which one keeps it. */
void leech_hold_diverged(struct leech *leech);
void leech_tell_owned(struct leech *leech);
/* All is here, and the other side knows whose it is. */
void leech_complete(struct leech *leech);
void leech_size_more(struct leech *leech);

#endif
