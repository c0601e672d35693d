/* SPDX-License-Identifier: GPL-2.0 */
/* What the files managed*.c share. */
#ifndef REGIONFS_MANAGED_PRIVATE_H
#define REGIONFS_MANAGED_PRIVATE_H

#include <stdatomic.h>

#include "managed.h"
#include "pages.h"
#include "policy-hook.h"
#include "window.h"

/* Bytes that somebody took, in the time that there were any for him. */
struct managed_flow {
	uint64_t bytes, ns, since;
	unsigned int busy;
};

struct managed {
	struct backend backend;
	struct policy policy;
	struct region *region;		/* a reference */
	struct remote *remote;
	struct store *store;		/* NULL with LOCAL_CACHE */
	struct puller *puller;		/* NULL where nothing is to be pulled */
	struct pusher *pusher;		/* NULL without a store */
	struct profile *profile;
	/* opening and closing */
	struct backend_open opening;	/* the source's, until the remote has it */
	bool grown;			/* the store has made it longer than it was opened as */
	bool is_open, puller_closed, pusher_closed, remote_closed, store_closing;
	bool closing, remote_closing;
	struct loop_timer opening_timer;
	bool leaving;			/* managed_let_go() */
	bool gone;			/* the region is */
	bool forgotten;			/* the store's files go when it is closed */
	bool deleted;			/* and so may what the source has not got yet */
	bool handed;			/* managed_hand_over() */
	bool diverged;			/* managed_diverge() */
	bool forgone;			/* managed_forgo() */
	/* managed-adopt.c's */
	struct {
		bool on;		/* opened by managed_adopt_open() */
		bool undrained;		/* the source has never had all of it: it has all of the region to push */
		uint64_t upto;		/* and that is up to this generation */
		bool pushing;		/* all is here that ever comes from the other host */
		bool fresh;		/* nothing in the store counts */
		bool owned;		/* managed_adopt() */
		bool pushed;		/* by an earlier helper, maybe, which then dropped what was pushed */
		bool clear;		/* what is in the store goes, and it is opened anew */
		bool marked;		/* the mark may be there after a power cut, though this is owned */
		bool unmarking;
		struct list syncs;	/* struct sync: wait until it is not */
		struct loop_work work;
		struct pusher_wait wait;
		void (*drained)(void *arg, int error);	/* NULL: nobody waits */
		void *drained_arg;
		struct store_io drop;
		void (*dropped)(void *arg, int error);
		void *dropped_arg;
		char mark[4096], owes[4096];
	} adopting;
	/* what a store in memory had is lost, and the other host may ask for it: managed_found() */
	atomic_bool missing_bytes;
	bool kept;			/* what the source has not got stays in the store of a region that is gone */
	bool pusher_closing, draining;
	struct pusher_wait last;
	struct loop_timer last_timer;	/* draining: the longest that it may take */
	uint64_t last_pushed;		/* when that was set */
	struct destroy *destroy;
	void (*parts_closed)(struct managed *managed);	/* the puller and the pusher, before a DESTROY */
	int error;
	struct policy_command hook, pull_hook;
	bool pull_hooking, sync_hooking, sync_again;
	struct policy_command sync_hook;
	/* the home loop's */
	struct list fetches;		/* struct fetch: on their way from the source, or into the store */
	struct list changes;		/* struct change */
	struct list blocked;		/* changes that wait for one of those, or for a page */
	struct list no_room;		/* changes that the store had no room for */
	struct list reads;		/* struct read that wait for the source */
	struct loop_timer deadline;	/* of reads and no_room */
	unsigned int nr_busy;		/* what close waits for, beside the puller and the pusher */
	struct pages *pulled;		/* LOCAL_CACHE: what was put into the page cache once */
	bool away_told;
	uint64_t budget;		/* the store's */
	bool limited;			/* the kernel slows the region's writers */
	/* LOCAL_CACHE: changes that were answered, but not synced */
	struct { bool any, lost; uint64_t nr, opened; } unsynced;
	/* managed-bypass.c's: what comes, and what the store takes of it; until: from when on it is tried again, 0: it is used */
	struct {
		struct managed_flow source, store;
		uint64_t until;
	} bypass;
	/* what store_is_tight() said, not more than a second ago */
	bool tight;
	uint64_t tight_at;
	/* managed-version.c's; known: the source has one; changes: remote_changes() when it was asked for, UINT64_MAX: in vain */
	struct {
		struct backend_req req;
		struct store_io io;
		struct loop_timer timer;
		char text[BACKEND_VERSION_MAX];
		uint64_t changes;
		bool known, asking, again, last;
		uint64_t id, nr;	/* of what is here, for whoever has this region for a source */
	} version;
	/* managed-room.c's */
	struct {
		struct store_io io;
		struct pusher_wait wait;
		struct loop_timer timer;
		uint64_t moved;		/* when there was some last */
		uint64_t ms;		/* the next time that the timer is set; 0: as the first */
		unsigned int rounds, tries;
		bool giving, pushing, told, retrying;
	} room;
	atomic_bool pulling;		/* misses are to be told to the puller */
	/* counters; any thread */
	_Atomic uint64_t hits, misses, hit_bytes, miss_bytes, fetched, wait[MANAGED_HISTOGRAM];
};

/* Bytes on their way from the source: for the store, and for those who wait for them. */
struct fetch {
	struct list list;		/* managed->fetches */
	struct managed *managed;
	uint64_t offset;
	uint32_t length;		/* whole pages */
	bool demand, landed;		/* landed: it is being stored */
	bool kept;			/* LOCAL_CACHE: the kernel's readahead, whose bytes it keeps */
	uint64_t started;
	uint64_t cut;			/* store_cut() when it was begun */
	uint64_t stale;			/* what came is of no use from here on */
	struct backend_req req;
	struct store_io store;
	struct list wants;		/* struct want */
	uint64_t *skip;			/* pages that were changed meanwhile */
	bool spoiled;			/* and such that the change has not brought */
	bool flowing;			/* the store has it, and is measured */
	struct pull_io *pull;		/* the puller's, or NULL */
	char *buffer;
};

/* A part of a READ that waits for a fetch. */
struct want {
	struct list list;
	struct read *read;
	uint64_t offset;
	uint32_t length;
};

/* What the background was told of a READ that the source has to answer. */
struct miss {
	uint64_t since;			/* when the READ came */
	uint32_t bytes;			/* that are fetched for it: those of other fetches are counted where they belong */
	bool demanded;			/* somebody waits: the pusher was told, */
	bool puller_told;		/* the puller too, if it was there by then */
	bool passing;			/* nobody waits, and it has gone past the puller */
};

/* A READ that was not answered at once. */
struct read {
	struct list list;		/* managed->reads */
	struct managed *managed;
	struct backend_req *outer;
	unsigned int left;		/* parts that are still to come */
	int error;
	bool again;			/* a part was given up meanwhile: look anew */
	bool zero;			/* all parts so far were zeroes */
	struct miss miss;
};

/* ---- managed.c ---- */

extern const struct backend_ops managed_backend;

static inline struct managed *to_managed(struct backend *backend)
{
	return container_of(backend, struct managed, backend);
}

static inline struct loop *managed_loop(const struct managed *managed)
{
	return managed->backend.loop;
}

static inline uint64_t managed_size(const struct managed *managed)
{
	return backend_size(&managed->backend);
}

/* Bytes that may be kept near; 0: no limit. */
uint64_t managed_budget(const struct managed *managed);
/* The same for the store: none either while all of the region fits, so that its bytes may be read where they are. */
uint64_t managed_store_budget(const struct managed *managed);
/* Gives the store that, once the kernel does not read its file any more. */
void managed_follow_budget(struct managed *managed);
/* Once, at the first close: nothing is pulled or pushed any more. Then parts_closed(), maybe from within. */
void managed_close_parts(struct managed *managed);
/* Runs a command of the policy's. */
void managed_hook(struct managed *managed, struct policy_command *hook, enum policy_hook which, const char *state,
		  void (*done)(struct policy_command *hook, int error, const char *why));
/* The puller's order is through. */
void managed_pull_complete(struct managed *managed);
/* Something has ended: closing may go on. May free it. */
void managed_idle(struct managed *managed);
/* Closes the source. */
void managed_close_remote(struct managed *managed);

/* The store's directory; whoever has it knows that no other helper has. */
void managed_store_dir(const struct managed *managed, char *dir, size_t len);
/* In memory: what a region that is gone has left for the next one with this source. */
void managed_left_dir(const struct managed *managed, char *dir, size_t len);
void managed_open_store(struct managed *managed);
void managed_open_failed(struct managed *managed, int error, const char *why);
/* The store is managed->store, and holds what it should. */
void managed_store_ready(struct managed *managed);

/* ---- managed-adopt.c ---- */

/* The store was opened: managed_store_ready() follows, or a failure, once it holds nothing that it should not. */
void managed_adopt_look(struct managed *managed);
/* Is the source not to be opened yet? */
bool managed_adopt_waits(const struct managed *managed);
/* Does a SYNC end with the store, whatever the policy says? */
bool managed_adopt_syncs_here(const struct managed *managed);
/* Something was pushed: is that all, for the first time? */
void managed_adopt_pushed(struct managed *managed);
/* The store is there: does it lack what the other host may ask for? READs fail then. */
void managed_adopt_missing(struct managed *managed);
/* It is about to be closed for good: no mark stays. */
void managed_adopt_forget(struct managed *managed);
/* Until the mark is durably gone a SYNC waits for that: false: it need not. Else managed_sync_again() follows. */
bool managed_adopt_waits_for_mark(struct managed *managed, struct list *entry);
/* error: of that. managed-sync.c */
void managed_sync_again(struct list *entry, int error);

/* ---- managed-show.c ---- */

/* It pushes in the order of its instance's regions from now on, if its policy says so. All has been pushed, or it stays as it is; so without memory. */
void managed_join_barriers(struct managed *managed);

/* 0: no limit. */
void managed_limit_writers(struct managed *managed, uint64_t bytes_per_second);

/* ---- managed-request.c ---- */

void managed_submit(struct backend *backend, struct backend_req *req);
/* The request has changed the size. */
void managed_follow_size(struct managed *managed, const struct backend_req *req);
void managed_read_start(struct managed *managed, struct backend_req *req);
void managed_read_part(struct read *read, int error);
void managed_set_deadline(struct managed *managed);
/* Is it the kernel's, for a program that does not wait yet? What it gets it keeps: direct reads are waited for. */
static inline bool managed_is_ahead(const struct backend_req *req)
{
	return req->op == BACKEND_READ && req->id && !(req->flags & BACKEND_DEMAND);
}

/* The READ's bytes from offset to end are asked for: the background gives way, or goes on behind it. Once or more; miss->since is set. */
void managed_miss_begin(struct managed *managed, const struct backend_req *req, struct miss *miss, uint64_t offset, uint64_t end);
/* They have come, or failed. */
void managed_miss_end(struct managed *managed, const struct backend_req *req, const struct miss *miss);
/* Any thread. */
bool managed_has_timeout(const struct managed *managed);
/* Is nobody to begin to wait for the source, as it is? */
bool managed_waits_no_more(const struct managed *managed);
/* Does the source take nothing of what is to be pushed? */
bool managed_is_stuck(const struct managed *managed);

/* ---- managed-change.c ---- */

void managed_change_start(struct managed *managed, struct backend_req *req);
void managed_retry_no_room(struct managed *managed);
/* Since when the first of those waits; UINT64_MAX: there is none. */
uint64_t managed_change_since(const struct managed *managed);
/* Those that wait since then or longer. But for what would be done by half: that is tried on. */
void managed_fail_no_room(struct managed *managed, uint64_t before_ns, int error);

/* ---- managed-room.c ---- */

/* A change waits in no_room. */
void managed_room_make(struct managed *managed);
/* Something was pushed, or the store has let go of it: there may be room. */
void managed_room_came(struct managed *managed);
/* A change has found some. */
void managed_room_taken(struct managed *managed);
/* One waits no longer. */
void managed_room_settle(struct managed *managed);

/* ---- managed-bypass.c ---- */

void managed_flow_begin(struct managed_flow *flow);
void managed_flow_end(struct managed_flow *flow, uint64_t bytes);
void managed_bypass_look(struct managed *managed);
/* Is what is absent to stay so, since the store is slower than the source? */
bool managed_bypassed(struct managed *managed);

/* ---- managed-version.c ---- */

/* remote_options' verify. */
void managed_verify(void *arg, const char *version);
/* What is here is another one from now on. */
static inline void managed_new_version(struct managed *managed)
{
	managed->version.nr++;
}

/* BACKEND_VERSION, of this region. */
void managed_version_start(struct managed *managed, struct backend_req *req);
/* The store is open, and about to be closed. */
void managed_version_found(struct managed *managed);
void managed_version_leave(struct managed *managed);
/* Something was pushed. */
void managed_note_version(struct managed *managed);
/* Closing: is there a last one to be noted? Then managed_close_remote() comes later. */
bool managed_version_last(struct managed *managed);
/* The pusher has ended, or something else that it may wait for. */
void managed_version_end(struct managed *managed);

/* ---- managed-sync.c ---- */

/* LOCAL_CACHE: the source has answered a change. */
void managed_note_change(struct managed *managed);
void managed_sync_start(struct managed *managed, struct backend_req *req);
void managed_destroy_start(struct managed *managed, struct backend_req *req);

/* ---- managed-fetch.c ---- */

/* One that goes into the store. It is started once somebody's want is in its list. NULL: no memory. */
struct fetch *managed_fetch(struct managed *managed, uint64_t offset, uint32_t length, bool demand);
void managed_fetch_start(struct fetch *fetch);
/* The fetch that has this byte and whose page is not out of date, or NULL; *end: how far that goes. demand: one that is not much later than a new one. */
struct fetch *managed_fetch_find(struct managed *managed, uint64_t offset, bool demand, uint64_t *end);
/* The first byte of from..to for which there is one; to: none has any. */
uint64_t managed_fetch_next(struct managed *managed, uint64_t from, uint64_t to, bool demand);
/* Asks the source for it; it is done's to answer and free it. */
void managed_fetch_submit(struct fetch *fetch, void (*done)(struct backend_req *req, int error));
/* Gives those who wait for it what has come. */
void managed_fetch_answer(struct fetch *fetch, int error);
/* Nobody new waits for it. */
void managed_fetch_disown(struct fetch *fetch);
/* It will not come: they look for it elsewhere. */
void managed_fetch_dismiss(struct fetch *fetch);
void managed_fetch_free(struct fetch *fetch, int error);
/* Is this byte on its way, from the source or into the store? */
bool managed_fetch_any(struct managed *managed, uint64_t offset);
/* These bytes change: what is on its way of them is out of date. */
void managed_fetch_spoil(struct managed *managed, uint64_t offset, uint64_t length);
int managed_puller_open(struct managed *managed, char *why, size_t why_len);

/* ---- managed-cache.c: LOCAL_CACHE ---- */

/* To the source, past a store that there isn't; a READ of what is on its way waits for that, and so does one that may be given up. */
void managed_through(struct managed *managed, struct backend_req *req);
/* Starts one whose bytes only those who wait for it get. */
void managed_cache_read(struct fetch *fetch);
/* Starts one of the puller's, into the page cache. */
void managed_cache_fetch(struct fetch *fetch);
/* The first bytes of from..limit that were not put there yet; false: there are none. */
bool managed_cache_absent(struct managed *managed, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length);

#endif
