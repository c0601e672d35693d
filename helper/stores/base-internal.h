/* SPDX-License-Identifier: GPL-2.0 */
/* base-internal: what the parts of the base (base.h) share. */
#ifndef REGIONFS_BASE_INTERNAL_H
#define REGIONFS_BASE_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/regionfs.h>

#include "list.h"
#include "loop.h"
#include "stores/base.h"

#define PAGE		4096u
#define CHUNK_PAGES	(BASE_CHUNK / PAGE)

/* ---- in memory: a word for each chunk; the kernel looks at them as well, as the map of a LOCAL ---- */

#define PAGES_MASK	REGIONFS_LOCAL_PRESENT	/* bit n: page n of the chunk is present */
#define CHUNK_READ	REGIONFS_LOCAL_USED	/* by the kernel, since the hand of the clock came by */
#define CHUNK_UNCHECKED	REGIONFS_LOCAL_UNSURE	/* was there at the start, and was not compared with its checksum; any thread clears it (base-direct.c) */
#define CHUNK_USED	(1u << 18)	/* by us, since then; any thread sets it */
#define CHUNK_CHANGED	(1u << 19)	/* durable: its entry on the disk is not that of its bytes; or */
#define CHUNK_CHANGED_2	(1u << 20)	/* this: the one is base->changed, the other one base->enter */
#define CHUNK_ENTRY	(1u << 21)	/* durable: its entry on the disk is not void */
#define CHUNK_TOUCHED	(1u << 22)	/* was CHUNK_READ; see base_touched() */

/*
 * Words come in segments of 64 GiB of region, which are made when the first page in them comes, never move, and stay until the base is
 * closed, so that any thread may look at one without a lock. Untouched parts of them cost address space alone.
 */
#define SEGMENT_CHUNKS	(1u << 20)
#define SEGMENTS	1024u
#define BASE_CHUNKS	((uint64_t)SEGMENTS * SEGMENT_CHUNKS)
_Static_assert(BASE_CHUNKS * BASE_CHUNK == BASE_MAX, "as many as there may be");

/* What is known of a block of words together: whole ones are skipped where there is nothing to be found. The home loop's. */
#define BLOCK_CHUNKS	1024u
#define SEGMENT_BLOCKS	(SEGMENT_CHUNKS / BLOCK_CHUNKS)

struct block {
	uint16_t some;		/* chunks with a page that is present */
	uint16_t whole;		/* with all of them */
	uint16_t changed;	/* with CHUNK_CHANGED */
	uint16_t changed_2;	/* with CHUNK_CHANGED_2 */
	uint32_t pins;		/* of all its chunks, beside their own */
	uint32_t loose;		/* pages that are present, of chunks without pins of their own */
	_Atomic uint64_t given_up;	/* how often some of its pages became absent; any thread looks */
};

struct segment {
	void *map;		/* of base->words_fd, where its words are */
	_Atomic uint32_t *word;
	uint32_t pins[SEGMENT_CHUNKS];
	struct block block[SEGMENT_BLOCKS];
	/* Has the block words? Where it has not they are zero, and not to be looked at: that would take a page, if there is one. */
	atomic_bool ready[SEGMENT_BLOCKS];
};

/* ---- DIR/map: a head, then for each chunk an entry; on the disk in this host's byte order ---- */

#define MAP_HEAD	8192u
#define IDENTITY_MAX	(MAP_HEAD - 40u)

struct map_head {
	char magic[8];
	uint32_t version;
	uint32_t durable;
	uint64_t instance;	/* 0 where durable: a disk's bytes belong to no life */
	uint64_t identity_len;
	char identity[IDENTITY_MAX];
	uint32_t zero;
	uint32_t crc;		/* of all before it */
};

/* All zero: none of its pages is present. */
struct map_entry {
	uint32_t crc;		/* durable: see entry_crc() */
	uint16_t pages;
	uint16_t flags;
};

#define ENTRY_VALID	0xb5e0u
/* of an earlier version: zeroes that were never written */
#define ENTRY_HOLES	0x0001u

static inline uint64_t entry_at(uint64_t chunk)
{
	return MAP_HEAD + chunk * sizeof(struct map_entry);
}

/* ---- the base ---- */

/* Chunks in one go of the flush. */
#define FLUSH_BATCH 256

struct flush {
	bool running;
	bool bytes, map;	/* their fdatasync is under way */
	bool left;		/* the last one failed: chunks may be left that were to be entered */
	int map_fd;		/* a new map; -1: none */
	struct list waiting;	/* base_io; served by the next run */
	struct list served;	/* by this run */
	struct loop_op op;
	struct loop_work work;
	uint64_t next;		/* chunk to go on with */
	unsigned int n;
	uint64_t chunk[FLUSH_BATCH];
	struct map_entry entry[FLUSH_BATCH];
};

struct room;

struct base {
	struct loop *loop;
	bool durable;
	int fd, map_fd;
	int direct_fd;		/* DIR/bytes past its page cache, on a disk; -1: it has no such thing */
	atomic_bool no_direct;	/* nor can it be read so */
	int words_fd;		/* a memfd: a struct regionfs_local_map */
	char *map_path;
	_Atomic uint64_t size, budget;
	_Atomic uint64_t *seq;	/* in the first segment's map */
	_Atomic(struct segment *) segment[SEGMENTS];
	struct base_stats stats;
	uint64_t loose;		/* bytes that are present and not pinned */
	uint64_t hand;		/* the clock's, a chunk */
	unsigned int rounds;	/* that it may go on for until nothing more is to be given up */
	struct room *room;	/* it goes on in the next turn of the loop */
	bool no_evict;		/* a pin could not be noted */
	bool remap;		/* a sync of the map failed: it is to be made anew */
	struct list writing;	/* base_io */
	struct list checking;	/* base_io that write when their edges are checked */
	struct list waiting;	/* base_io, until no punch is in their way */
	struct list givers;	/* base_io of base_give(), until there is no punch */
	struct list punches;	/* the first of them is with the pool */
	struct flush flush;
	/*
	 * Bits of a word: changed; was changed when the flush that is under way began. For the next flush the one becomes the other for all chunks at
	 * once.
	 */
	uint32_t changed, enter;
};

/* base-words.c */
/* The file of the words, and the first segment. -errno. */
int base_words_open(struct base *base);
void base_words_close(struct base *base);
struct segment *base_segment(struct base *base, uint64_t chunk);		/* NULL: nothing present there */
/* NULL: no memory, or beyond BASE_MAX. Its words need base_words_make() still. */
struct segment *base_segment_make(struct base *base, uint64_t chunk);
/* 0 where there are none. */
uint32_t base_word(struct base *base, uint64_t chunk);
/* They may be changed. false: no memory, or beyond BASE_MAX. */
bool base_words_make(struct base *base, uint64_t chunk);

/* base-map.c */
static inline struct block *base_block(struct segment *segment, uint64_t chunk)
{
	return &segment->block[chunk % SEGMENT_CHUNKS / BLOCK_CHUNKS];
}
/* Sets and clears bits of a chunk, keeping what is counted in step. Its segment is there. */
void base_word_change(struct base *base, uint64_t chunk, uint32_t set, uint32_t clear);
/* Any thread. Of a chunk that has pages, whose word was this. */
void base_note_used(struct base *base, uint64_t chunk, uint32_t word);
/* The first chunk from a place on with one of the bits (base->changed, base->enter or PAGES_MASK), or end. */
uint64_t base_next(struct base *base, uint64_t chunk, uint64_t end, uint32_t bits);
/* The pages of a chunk that these bytes touch. */
uint32_t base_pages_of(uint64_t chunk, uint64_t from, uint64_t end);
/* bytes NULL: zeroes */
uint32_t base_entry_crc(uint64_t chunk, const struct map_entry *entry, const char *bytes);
/* Has the file nothing there? *data: 0, and then of the same file with a higher chunk, as it was left. Blocks. */
bool base_chunk_hole(struct base *base, uint64_t chunk, uint64_t *data);
/* Bytes of the pages in mask, others zero. Blocks. */
int base_chunk_read(struct base *base, uint64_t chunk, uint32_t mask, char *bytes);
int base_map_write(struct base *base, const void *data, size_t len, uint64_t at);
/* A map in place of the one that is there, with the same head and no entries, durably. Blocks. The new file, or -errno. */
int base_map_renew(struct base *base);
int base_map_open(struct base *base, const struct base_options *options);
/* What was changed in memory is noted: on a tmpfs in DIR/map, at once; else for the flush. -ENOSPC. */
int base_note(struct base *base, uint64_t first, uint64_t last);
/* The same of those chunks that have pages, for bytes that are to be written. */
void base_note_coming(struct base *base, const struct base_io *io);
/* Pages are there; their segments are. -ENOSPC: they can't be noted. */
int base_set_present(struct base *base, uint64_t from, uint64_t end);
/* Pages are there no longer. false: none was. */
bool base_set_absent(struct base *base, uint64_t from, uint64_t end);

/* base-direct.c */
/* Any thread. A descriptor by which these bytes, which are present, may be read past the page cache to an address; -1: they may not. */
int base_direct_fd(struct base *base, const void *data, uint64_t offset, uint64_t length);

/* base-pin.c */
/* So many pages more are present in chunks of the block that have no pins of their own. */
void base_loosen(struct base *base, struct block *block, int32_t pages);
bool base_pinned(struct base *base, uint64_t chunk);
/* base_unpin() that gives up nothing: an operation's own bytes are there when it is done, even where they are more than the budget. */
void base_let_go(struct base *base, uint64_t offset, uint64_t length);

/* base-evict.c */
/* The room of absent bytes is given back some time. */
void base_punch(struct base *base, uint64_t from, uint64_t end);
/* They are absent, at once; their room is given back some time. */
void base_lose(struct base *base, uint64_t from, uint64_t end);
/* Is a punch under way that touches these bytes? */
bool base_punching(struct base *base, uint64_t from, uint64_t end);
void base_punches_stop(struct base *base);
/* Gives up others until so much more fits into the budget. */
void base_make_room(struct base *base, uint64_t more);
void base_room_stop(struct base *base);

/* Of a write (base_io.flags, beside those of base-io.c): an fdatasync has failed since it began. */
#define BASE_IO_LOST	(1u << 3)
/* base-io.c: no punch is in their way any longer. */
void base_io_again(struct base *base);

static inline uint64_t page_up(uint64_t at)
{
	return at > UINT64_MAX - PAGE ? UINT64_MAX & ~(uint64_t)(PAGE - 1) : (at + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static inline uint64_t page_down(uint64_t at)
{
	return at & ~(uint64_t)(PAGE - 1);
}

static inline uint64_t chunk_end(uint64_t end)
{
	return end / BASE_CHUNK + (end % BASE_CHUNK != 0);
}

static inline uint64_t base_end(uint64_t offset, uint64_t length)
{
	return length > BASE_MAX || offset > BASE_MAX - length ? BASE_MAX : offset + length;
}

#endif
