/* SPDX-License-Identifier: GPL-2.0 */
/*
 * base: the bytes of a local store, at their own offsets in one file, and which of them are there. It always holds the newest bytes
 * of a page that is present: also those that the log (stores/redo.h) has and that the source has not got yet.
 *
 * On the disk: DIR/bytes (sparse) and DIR/map: a head (magic, version, instance, identity of the source, checksum), then for each
 * chunk of BASE_CHUNK which of its pages are there, and a CRC32C of them. In memory: a word for each chunk, where there are any.
 *
 * Order. A chunk's entry reaches the disk after its bytes (base_flush). Bytes that change leave the entry on the disk wrong: that
 * is harmless, since a chunk is checked against its checksum when it is first used after a start, and one that doesn't match is absent; what
 * the log has is put over it again. What the log lets go of has been through base_flush() before: that leaves no entry that matches older bytes.
 * What was dropped is sure to be gone after a power cut only when it has been through base_flush(), too.
 *
 * On a tmpfs (not durable) entries have no checksum, and are written as the pages come and go: bytes before entries, and away in the other order. So a
 * killed helper's pages are there for the next, and nothing needs to be checked.
 *
 * Room. With a budget, chunks that are present and not pinned are given up for others, those that were not used longest first
 * (a clock, fed by reads). A chunk's bit goes before its room, and base_seq() changes between, so that a reader who copies from
 * the file, and then finds the bits still set and the seq unchanged, has the right bytes.
 *
 * Threads: the home loop, except where said. Of the words any thread sets CHUNK_USED and clears CHUNK_UNCHECKED.
 */
#ifndef REGIONFS_STORES_BASE_H
#define REGIONFS_STORES_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

#define BASE_CHUNK	(64u << 10)
/* What lies beyond is never present. */
#define BASE_MAX	(64ull << 40)

struct base;

/* An operation; the caller's until done. done comes out of the loop, or from within the call. */
struct base_io {
	void (*done)(struct base_io *io, int error);
	uint64_t offset, length;
	void *data;			/* fill, write: NULL is zeroes; read: where to */
	/* the base's */
	struct list list;
	struct loop_op op;
	struct loop_work work;
	struct base *base;
	uint64_t at;
	uint32_t flags, mask;
};

#define BASE_DIRECT_CHUNKS 16u

/* One of base_read_direct(); the caller's until done. */
struct base_direct {
	/* -EAGAIN: they were given up meanwhile, don't match their checksum, or the disk says no: base_check() and base_read() will tell */
	void (*done)(struct base_direct *direct, int error);
	uint64_t offset;
	void *data;
	uint32_t length;
	/* the base's */
	bool compares;
	struct base *base;
	struct loop_op op;
	uint64_t given_up;
	uint64_t entry[BASE_DIRECT_CHUNKS];	/* struct map_entry */
};

struct base_options {
	struct loop *loop;
	const char *dir;		/* exists, is this base's alone */
	bool durable;			/* a disk: fsync and checksums; else a tmpfs */
	uint64_t instance;		/* not durable: of another life of the instance means empty */
	const char *identity;		/* of the source: another one means empty; "" matches nothing */
	uint64_t size;			/* of the region; overrides what the file says */
	uint64_t budget;		/* bytes; 0: no limit */
};

struct base_stats {
	uint64_t present;		/* bytes */
	uint64_t room;			/* bytes on the disk, about */
	uint64_t evicted;		/* bytes, in all */
	uint64_t corrupt;		/* chunks that did not match their checksum; after a power cut those too that changed since the last flush */
};

/* Blocks: for a worker. A damaged or foreign map is an empty one. Errors: -ENOSPC, -EIO, ...: a sentence in why. */
int base_open(struct base **base, const struct base_options *options, char *why, size_t why_len);
/* Nothing is under way. Blocks for munmap and close alone (and for one step of giving room back). */
void base_close(struct base *base);
/* The files go. After base_close(), for a worker. */
int base_remove(int dir_fd);

/* ---- any thread ---- */

/* Are all of these bytes present? (Checked ones: a chunk that is still to be compared with its checksum is not.) Marks them used. */
bool base_present(struct base *base, uint64_t offset, uint64_t length);
uint64_t base_seq(const struct base *base);
/*
 * Reads bytes that are present, past the page cache, in the loop of the calling thread; the base stays open meanwhile. false: not these. Else
 * direct->done comes out of that loop.
 */
bool base_read_direct(struct base *base, struct base_direct *direct);
/* Can something that is present be given up? Not without a budget, or while the size is below it. */
bool base_evicts(const struct base *base);
/* The next chunk from *chunk on that the kernel has read itself since base_untouch(); false: none. Again: from *chunk + 1 on. */
bool base_touched(struct base *base, uint64_t *chunk);
/* DIR/bytes, to be read, by the kernel too; it stays open as long as the base. Not to be mapped: a load where there is no room would be a SIGBUS. */
int base_fd(const struct base *base);
/* A struct regionfs_local_map, that says which of them are present. */
int base_words_fd(const struct base *base);

/* ---- the home loop ---- */

void base_untouch(struct base *base);

/*
 * The first bytes from an offset on that are absent, and how far that goes, at most to limit. false: none below limit. Whole pages.
 * A chunk that is still to be checked counts as present; base_check() first.
 */
bool base_absent(struct base *base, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length);
/* Compares what lies in this range, and was not used since the start, with its checksums. Afterwards what is present is. */
void base_check(struct base *base, struct base_io *io);
bool base_checked(struct base *base, uint64_t offset, uint64_t length);
/* Bytes that are present and checked. -EIO where the disk fails: they are absent then. */
void base_read(struct base *base, struct base_io *io);
/* Whole pages (or up to the end of the region) that come, from the source or a program; they are present when it is done. May give up others for them. -ENOSPC, -EIO: they are absent. */
void base_write(struct base *base, struct base_io *io);
/* Absent at once; the room goes later. Whole pages inside; of a chunk that is still to be checked, all. For a resize, and for what is out of date. */
void base_drop(struct base *base, uint64_t offset, uint64_t length);
/*
 * The same from *offset on to the end of the region, as far as it doesn't take long; *offset is where it has got to. false: there is nothing left to
 * be dropped.
 */
bool base_drop_some(struct base *base, uint64_t *offset);
/* The region's size. What lies beyond is dropped; the tail of a last page that is present must have been zeroed by a base_write(). */
void base_resize(struct base *base, uint64_t size);
/* All that was written before is on the disk with its checksums. */
void base_flush(struct base *base, struct base_io *io);
/* Pinned chunks (those that hold bytes that the source has not) are not given up. Counted. */
void base_pin(struct base *base, uint64_t offset, uint64_t length);
void base_unpin(struct base *base, uint64_t offset, uint64_t length);
/* All pins. */
/*
 * Gives up length bytes of what is not pinned, whatever the budget, to make room on the disk for others. done when the room is there;
 * -ENOSPC: there was nothing to give up, and no room is on its way; or it is a tmpfs without a budget, where all that is present stays.
 */
void base_give(struct base *base, struct base_io *io);
/* Bytes that the file system still has for us, and in all. -errno. */
int base_room_left(const struct base *base, uint64_t *left, uint64_t *total);
void base_set_budget(struct base *base, uint64_t budget);
const struct base_stats *base_stats(struct base *base);

#endif
