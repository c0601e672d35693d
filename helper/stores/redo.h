/* SPDX-License-Identifier: GPL-2.0 */
/*
 * redo: the log of a local store: every change that the source has not got yet, each version of it, in the order that they came.
 * Append-only files DIR/log-N; a place in the log is N and an offset in it, and stays what it is as long as the file is there.
 *
 * On the disk: a segment is a head of 4 KiB (whose log this is), then records: a header of 64 bytes, with its own place, a checksum of itself, of
 * its data, and that of the record before it (so that what was once behind a torn end is never taken for what follows a new one), and the data.
 * A WRITE longer than REDO_PIECE is several records. After a start the log goes on in a new segment.
 *
 * Room. A segment is made whole (fallocate, synced with its name) before it is used, and a change takes the last one only when there
 * is a further one: so nothing that was accepted meets a full disk, and PUSHED can be noted on one.
 *
 * Files. Open is what is written to or is still to be synced, and a few of the others, that were read last: there may be more of them than
 * a process may have open.
 *
 * What bounds it: segments go from the front, when all their generations are at the source. An older version of a page costs room until
 * then; how much that may be is the pusher's limit (store_stats.unpushed counts every version).
 *
 * An fsync that fails loses what nobody can tell. Those that waited for it are told; the log goes on in a new segment, and the next sync makes a copy of
 * the one that failed, from what is still in memory, checked: it has succeeded when that is on the disk. Until then the new one isn't tried.
 *
 * Threads: the home loop, except where said.
 */
#ifndef REGIONFS_STORES_REDO_H
#define REGIONFS_STORES_REDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "loop.h"

#define REDO_PIECE		(256u << 10)
/* A segment's bytes: a power of two between these. */
#define REDO_SEGMENT_MIN	(1u << 20)
#define REDO_SEGMENT_MAX	(16u << 20)

struct redo;
struct redo_segment;

enum redo_kind {
	REDO_WRITE = 1,
	REDO_DISCARD,
	REDO_RESIZE,
	REDO_PUSHED,		/* all up to gen is at the source, durably; arg: and is older than what the source has now. length: a range, whose changes before it are void */
	REDO_FORGET,		/* what came before it was discarded */
	REDO_SYNC,		/* in no file */
};

/* An operation; the caller's until done, which comes out of the loop, or from within the call. */
struct redo_io {
	void (*done)(struct redo_io *io, int error);
	/* WRITE: this much more of it is in the log, at a place. Comes before done, also when a later part fails. */
	void (*placed)(struct redo_io *io, uint64_t offset, uint64_t length, uint64_t at);
	enum redo_kind kind;
	uint64_t gen, offset, length, arg;
	uint64_t size;		/* the region's, afterwards */
	void *data;
	/* the log's */
	struct list list;
	struct redo *redo;
	struct loop_op op;
	struct redo_segment *segment;
	uint64_t moved;
	uint32_t from, skip, crc;
	char *whole;
};

struct redo_options {
	struct loop *loop;
	const char *dir;	/* exists */
	bool durable;		/* a disk; else a tmpfs */
	uint64_t instance;	/* not durable: the log of another life is dropped */
	const char *identity;	/* of the source, noted with the log */
	uint32_t segment;	/* bytes */
	void (*freed)(void *arg);	/* files are gone: there may be room; or NULL */
	void *arg;
};

/* A record that was found. lost: it lies behind a damage, and is in the log no longer. */
struct redo_record {
	enum redo_kind kind;
	bool lost;
	uint64_t gen, offset, length, arg, size, at;
};

struct redo_found {
	struct redo_record *records;	/* in order; the caller frees it */
	size_t n, max;
	bool foreign;			/* the log is of another identity */
	unsigned int damaged;		/* files that were put aside as DIR/damaged-N */
};

/* Blocks: for a worker. On error why has a sentence. */
int redo_open(struct redo **redo, const struct redo_options *options, struct redo_found *found, char *why, size_t why_len);
/* Nothing of the caller's is under way. The files stay, but for those that redo_free_all(gen) would let go. closed may come from within. */
void redo_close(struct redo *redo, uint64_t gen, void (*closed)(void *arg), void *arg);
/* Blocks: for a worker. Of a log that is not open. */
int redo_remove(int dir_fd);
/* The same for an open one that is not in use yet. */
int redo_clear(struct redo *redo);

/* -ENOSPC, -EDQUOT: nothing has changed. They are written in the order of these calls. */
void redo_append(struct redo *redo, struct redo_io *io);
/* All that was appended before is on the disk. */
void redo_sync(struct redo *redo, struct redo_io *io);
/* io->length bytes from a place on into io->data, all of one record. Checked: -EIO where they are not those that were written. */
void redo_read(struct redo *redo, struct redo_io *io, uint64_t at);
/* Is the record at a place on the disk, with all before it? */
bool redo_synced(const struct redo *redo, uint64_t at);

/* Where the log's end is now: for redo_free(). */
uint64_t redo_mark(const struct redo *redo);
/* Is there a segment before the end (or, whole: anything at all) that redo_free() would let go? */
bool redo_can_free(const struct redo *redo, uint64_t gen, bool whole);
/*
 * Nothing up to gen is needed any more, if it is before mark: PUSHED is on the disk, and so are the bytes, elsewhere. Whole segments go; where
 * files are being made, after that.
 */
void redo_free(struct redo *redo, uint64_t gen, uint64_t mark);
/* All of them go, unless there is something newer in them. PUSHED isn't needed then. An error of a sync is forgotten. */
bool redo_free_all(struct redo *redo, uint64_t gen);
/* Of an fsync that has failed and was not made good yet; or 0. */
int redo_error(const struct redo *redo);
/* Bytes of its files. */
uint64_t redo_bytes(const struct redo *redo);

#endif
