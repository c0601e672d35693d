/* SPDX-License-Identifier: GPL-2.0 */
/*
 * store: the near copy of a region: a base (stores/base.h: the newest bytes of what is here) and a log (stores/redo.h: what the source has not got yet,
 * every version that a barrier needs). LOCAL_MEMORY and LOCAL_FILE are the same thing in another directory, with fsync or without.
 *
 * A WRITE goes to the log, then to the base, and is answered: so it survives a kill of the helper at once, and a power cut once
 * store_sync() is done. At the next start the log's records are put over the base again.
 *
 * Generations. Each change carries the generation of the moment (barrier.h: an fsync anywhere in the barrier's domain ends one). For each generation that the source
 * has not got the store keeps which ranges changed, and where in the log their bytes are, so that a later change does not alter what the
 * generation is. A generation that is still open is changed by store_change(); a closed one never.
 *
 * Overlapping operations are put in order by the store: a fill never lands over a later change, a read that overlaps one finds
 * the bytes before or after.
 *
 * Threads: the home loop, except where said. Errors are negative errno.
 */
#ifndef REGIONFS_STORE_H
#define REGIONFS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "extents.h"
#include "list.h"
#include "loop.h"
#include "policy.h"

struct base_direct;	/* stores/base.h */
struct store;

/* RESIZE: arg where nothing is cut at the source but what lies beyond length: what it has below is as good as before, and so nothing is zero here. */
#define STORE_KEEPS UINT64_MAX

/* What changed in one generation. Owned by the store; the pusher looks at the oldest, and at no other. */
struct store_gen {
	struct list list;		/* of the store's, oldest first */
	uint64_t gen;			/* the newest of those merged into it */
	uint64_t oldest;		/* the oldest */
	struct extents changed;		/* where in the log the bytes are; EXTENT_ZERO: a DISCARD, or cut off */
	bool resized;
	uint64_t size, low;		/* if resized: as BACKEND_RESIZE's length and arg, or STORE_KEEPS. Comes before changed */
	uint64_t since;			/* loop_now_ns() of the first change (after a restart: of the start) */
	uint64_t last;			/* and of the last one */
	/* Changes under way that will be in it. While there are any it is not whole: it can't be merged, store_gen_pushed() does nothing. */
	unsigned int pending;
	bool half_merged;		/* merging the next one has failed: it has some of that one's changes, and may not go without the rest */
};

struct store_options {
	struct loop *loop;
	enum policy_local kind;		/* LOCAL_MEMORY, LOCAL_FILE */
	const char *dir;		/* made when it isn't there */
	const char *run_dir;		/* LOCAL_MEMORY: whose tmpfs (memory-dir.h) dir is on */
	uint64_t instance;		/* LOCAL_MEMORY: of an earlier life means empty */
	const char *identity;		/* of the source: "peer+plain://...", region. Another one: the clean bytes are
					   dropped, and where there are changes that source has not got, -ESTALE */
	uint64_t size;			/* of the region; used when the store is new */
	uint64_t budget;		/* bytes of clean chunks; 0: no limit */
	void *arg;
	/* error 0: it is open. else a sentence in why, and the store is freed. Not from within store_open(). */
	void (*opened)(void *arg, struct store *store, int error, const char *why);
	/* The log has let go of something: a change that found no room may find some. Or NULL. */
	void (*room)(void *arg);
};

/* An operation; the caller's until done, which comes out of the loop or from within. */
struct store_io {
	void (*done)(struct store_io *io, int error);
	enum backend_op op;		/* change: BACKEND_WRITE, _DISCARD, _RESIZE */
	uint64_t offset, length, arg;	/* as in struct backend_req */
	void *data;
	uint64_t gen;			/* change: its generation, at least that of every earlier change */
	const uint64_t *skip;		/* fill: a bit for each page of the range that is out of date, or NULL; looked at when it lands */
	_Alignas(16) uint8_t private[512];	/* the store's */
};

struct store_stats {
	uint64_t present, room, evicted, corrupt;	/* bytes; corrupt: chunks */
	uint64_t unpushed;		/* bytes of changes that the source has not got, all versions; each change counts as some at least */
	uint64_t log;			/* bytes of the log's files */
	uint64_t oldest;		/* loop_now_ns() of the oldest of them; 0: none */
	bool full;			/* the last change found no room */
	int error;			/* the disk can't be synced: -errno of the last attempt; 0: it can */
};

int store_open(const struct store_options *options);
/* Nothing is under way. closed comes out of the loop; the files stay. */
void store_close(struct store *store, void (*closed)(void *arg), void *arg);
/* The same, and the files go. */
void store_remove(struct store *store, void (*closed)(void *arg), void *arg);

/* Was there anything in it when it was opened? And the size that it knows (the region's may be the same or newer). */
bool store_was_there(const struct store *store);
uint64_t store_size(const struct store *store);
/* The newest generation that was in the log when it was opened; 0: none. */
uint64_t store_recovered(const struct store *store);

/* The version of the source (BACKEND_VERSION) that the clean bytes are of, as it was noted last; NULL: it never was. Stays until the next one. */
const char *store_version(const struct store *store);
/*
 * Notes it: after a push, and before store_close(), which waits for it. settled: all that was pushed is in it, and nothing is under way. It is on the disk some time after that; one that is too old at the
 * next start costs the clean bytes.
 */
void store_set_version(struct store *store, const char *text, bool settled);
/*
 * A push is about to change the source: from now on another version may be ours, until one is set that is settled. On the disk before io->done, but not
 * synced: after a power cut it may be missing, which costs the clean bytes. One at a time.
 */
void store_push_begin(struct store *store, struct store_io *io);
/* Has one begun since the version was noted, maybe in an earlier life? */
bool store_pushing(const struct store *store);
/*
 * A text that is kept from one store_close() to the next opening, and no longer: after a kill or a power cut there is none. What it says of the bytes is as
 * true as they are the same.
 */
const char *store_mark(const struct store *store);
void store_leave_mark(struct store *store, const char *text);
/* The source is of another version: what it has as well is dropped, once all that was begun before is done. Changes stay. */
void store_drop_clean(struct store *store, struct store_io *io);

/* ---- bytes. Any thread: */

/* All of it is present (and for a store on a disk: checked). Marks it used. */
bool store_present(struct store *store, uint64_t offset, uint64_t length);
/* Reads at once what is in memory: false where it is not all present, or is on a disk. */
bool store_read_now(struct store *store, uint64_t offset, uint64_t length, void *data);
/* What is present on a disk, in the loop of the calling thread: base_read_direct(). After -EAGAIN, store_check() and store_read() will tell. */
bool store_read_direct(struct store *store, struct base_direct *direct);
/* The next bytes from *offset on that the kernel has read itself since store_untouch(), or near them; false: none. */
bool store_touched(struct store *store, uint64_t *offset, uint64_t *length);
void store_untouch(struct store *store);
/* A file that holds the region's bytes wherever they are present, and the map of these (REGIONFS_LOCAL_MAP); open as long as the store. */
int store_local_fd(const struct store *store, int *map);

/* ---- bytes. The home loop: */

/* Whole pages; false: nothing is absent from from to limit. What needs to be checked against its checksum counts as present. */
bool store_absent(struct store *store, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length);
/* Looks at checksums where that is still to be done: afterwards store_present() and store_absent() agree about the range. */
void store_check(struct store *store, struct store_io *io);
bool store_checked(struct store *store, uint64_t offset, uint64_t length);
/*
 * Of bytes that are present. -ENODATA: some are not any more (given up, or the disk has lost them): the source has them. -EIO: the log was damaged, where nobody
 * else has them.
 */
void store_read(struct store *store, struct store_io *io);
/* From the source: whole pages, or up to the region's end; data NULL: zeroes. Only pages that are absent when it lands are taken. -ENOSPC is harmless: they stay absent. */
void store_fill(struct store *store, struct store_io *io);
/*
 * A program's. A WRITE covers whole pages, or ends at or beyond the region's end; past it, it grows. DISCARD likewise: only its whole pages
 * (and the tail of the region) count, the caller writes zeroes to the edges. RESIZE: the same, of arg's page. -ENOSPC, -EDQUOT: there is no
 * room, and nothing has changed.
 */
void store_change(struct store *store, struct store_io *io);
/* What was changed before it is on stable storage; on a tmpfs: at once. */
void store_sync(struct store *store, struct store_io *io);

/* ---- for the pusher. The home loop: */

/*
 * The oldest generation that the source has not got, or NULL. It stays until store_gen_pushed(). store_sync() before any of it goes to the
 * source: after a power cut there would else be older bytes here, and nothing that says so (store_log_read() sees to that itself, but a RESIZE and
 * zeroes aren't read).
 */
struct store_gen *store_gen_oldest(struct store *store);
/* What the source has from here on is gone: the lowest low of the generations that it has not got; UINT64_MAX: nothing is. */
uint64_t store_cut(const struct store *store);
/* The one after it, or NULL. */
struct store_gen *store_gen_after(struct store *store, struct store_gen *gen);
/* The one after gen becomes a part of it. Only where the two are published at once. -ENOMEM: gen may have a part of it as well. -EBUSY: one is pending. */
int store_gen_merge(struct store *store, struct store_gen *gen);
/* length bytes of the log from place at on (an extent's), into data. -EIO: the log is damaged there. */
void store_log_read(struct store *store, struct store_io *io, uint64_t at);
/* The oldest generation is at the source, durably. Its log is let go of (once the base has it). From within: gen is freed. */
void store_gen_pushed(struct store *store, struct store_gen *gen);
/*
 * Everything that store_gen_pushed() was told so far is in the log as pushed, durably: after a power cut none of it is pushed again. An error: it isn't
 * known, and this may be called again; each call tries once more to note what could not be.
 */
void store_note(struct store *store, struct store_io *io);
/*
 * The changes of these bytes (whole pages) turned out not to be the region's: none of it is pushed, and it is absent. Those that began before are done first. As durable
 * as a change. An error: it may be or not, and may be asked for again. Nothing is being pushed.
 */
void store_void(struct store *store, struct store_io *io);
/* Drops all changes (a user's --discard): what is out of date then is absent. No change is under way. */
void store_discard_changes(struct store *store);

/*
 * Gives up io->length bytes of what the source has as well, to make room for changes. done when it is there; -ENOSPC: nothing could be given
 * up.
 */
void store_give(struct store *store, struct store_io *io);
/* Is the disk, or the tmpfs, so full that what is not asked for had better stay away? */
bool store_is_tight(const struct store *store);
void store_set_budget(struct store *store, uint64_t budget);
void store_stats(struct store *store, struct store_stats *stats);
/*
 * A map for people: for n buckets of the region, how many bytes are present in each, and how many are unpushed. Any n; costs O(chunks).
 */
void store_map(struct store *store, unsigned int n, uint64_t *present, uint64_t *unpushed);

#endif
