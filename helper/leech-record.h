/* SPDX-License-Identifier: GPL-2.0 */
/*
 * leech-record: what of a leech is on stable storage, in the state directory: whose the region is, and which chunks are durable in
 * the local store. The chunkmap is newer, and is what counts as long as the host is up, but for one thing: the decision. A region is owned here
 * from the moment on that the record says so; or the record says that it was refused, and then it never is.
 *
 * The file: two heads, each in a page with a checksum, of which the newer counts, then the bits. A bit is set in it only after the
 * local store has been synced, so any mixture of an older and a newer state of the bits, as a power cut may leave it, is true.
 *
 * Threads: one loop's; the disk is the pool's business.
 */
#ifndef REGIONFS_LEECH_RECORD_H
#define REGIONFS_LEECH_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "chunkmap.h"
#include "loop.h"

#define LEECH_RECORD_FROM 2047u

struct leech_record;

enum leech_record_state {
	LEECH_RECORD_PULLING	= 1,	/* the other side owns it */
	LEECH_RECORD_OWNED	= 2,
	LEECH_RECORD_COMPLETE	= 3,	/* all is here, and the other side knows */
	LEECH_RECORD_DIVERGED	= 5,	/* it is owned here, and in service there */
	LEECH_RECORD_LOST	= 6,	/* it is owned here, and the other side is gone for good */
	LEECH_RECORD_REFUSED	= 4,	/* the other side keeps it; it may not know that yet */
};

struct leech_record_head {
	uint32_t state;
	uint32_t chunk;
	uint64_t size;
	struct chunkmap_owner owner;
	char from[LEECH_RECORD_FROM];	/* the other side's URI, for the time after a refusal, when there is no region any more */
	uint8_t pushing;		/* OWNED, in memory: the source is ahead of what the other side has. Once the last byte of from: 0 in an older record */
};

struct leech_record_waiter {
	void (*done)(struct leech_record_waiter *waiter, int error);
	struct list list;
};

/* Of the leech: token in this directory. */
void leech_record_path(char *path, size_t len, const char *state_dir, const char *token);
/* Its head alone, as it is on the disk; blocks. -ENOENT, -ENODATA: nothing was said yet; else it cannot be read, and what it says is unknown. */
int leech_record_peek(const char *path, struct leech_record_head *head);
/* It says LOST from now on; blocks. At start: nobody has it loaded. As leech_record_peek(), or what a disk says: then it may say so or not. */
int leech_record_lose(const char *path);

/* Nothing is on the disk yet. path NULL: nothing ever will be. */
int leech_record_new(struct leech_record **record, struct loop *loop, const char *path);
/* Reads what is on the disk, which may be nothing; in the pool. -EBUSY: somebody else has it loaded, or saved it. */
int leech_record_load(struct leech_record *record);
/* No save is under way. The file stays. */
void leech_record_free(struct leech_record *record);
/* Soon; in the pool. */
void leech_record_unlink(struct loop *loop, const char *path);

/* As it is to be with the next save. The bits are not touched. */
struct leech_record_head *leech_record_head(struct leech_record *record);
/* The chunks that are durable, as many as the size has. */
const uint64_t *leech_record_bits(const struct leech_record *record);
/* The size of the region; chunks beyond a new end are forgotten. -ENOMEM. */
int leech_record_resize(struct leech_record *record, uint64_t size);
/* These are not durable any more. */
void leech_record_forget(struct leech_record *record, uint64_t first, uint64_t end);
/* What is present when a SYNC of the local store begins; malloc'ed, NULL: no memory. What is forgotten meanwhile is taken out of it. */
struct leech_snapshot {
	uint64_t words;
	uint64_t bits[];
};
struct leech_snapshot *leech_record_snapshot(const struct chunkmap *map);
void leech_snapshot_forget(struct leech_snapshot *snapshot, uint64_t first, uint64_t end);
/* The SYNC has ended: of these, the chunks that are present still are durable. Takes snapshot. */
void leech_record_synced(struct leech_record *record, struct leech_snapshot *snapshot, const struct chunkmap *map);

/* waiter->done(waiter, error), maybe from within, when all that was said before is on stable storage. -ENOSPC, -EIO: it may be there or not. */
void leech_record_save(struct leech_record *record, struct leech_record_waiter *waiter);
bool leech_record_busy(const struct leech_record *record);

#endif
