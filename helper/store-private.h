/* SPDX-License-Identifier: GPL-2.0 */
/*
 * store-private: what the parts of the local store (store.h) share.
 *
 * Where the base could not take what the log has (a full or failing disk), the page is absent in the base while a generation still has
 * it: store->holes says that there may be such pages, and reads, fills and questions then look there, too (store-piece.c). They are
 * gone when everything is at the source.
 *
 * The base must not vouch for bytes that the log doesn't have on the disk: after a power cut they would pass for the source's. So
 * before a base_flush() the log is synced, and no change goes to the base in between (store->held); from then on base_flush() itself
 * leaves out what changes.
 */
#ifndef REGIONFS_STORE_PRIVATE_H
#define REGIONFS_STORE_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/lock.h"
#include "store.h"
#include "stores/base.h"
#include "stores/redo.h"

#define STORE_PAGE 4096u
/* What a change takes at least in the log and in memory, about, however few bytes it has: so that max_unpushed bounds those, too. */
#define RECORD_COST 128u
/* What the base gets of zeroes in one turn of the loop: it has to note each chunk. */
#define STORE_STEP (256ull << 20)

struct gen {
	struct store_gen gen;
	uint64_t logged;	/* bytes in the log, versions that were replaced too; of each change RECORD_COST at least */
	uint64_t high;		/* if resized: the size that the source may have had before */
};

enum op_kind {
	OP_READ,
	OP_CHECK,
	OP_FILL,
	OP_CHANGE,
	OP_DROP,
	OP_VOID,
};

/* In a store_io. */
struct op {
	struct list list;	/* of store->ops */
	struct list ready;	/* of store->ready, or ->held */
	struct store *store;
	enum op_kind kind;
	bool running;
	int error;
	uint64_t start, end;	/* what it keeps others from */
	uint64_t at;		/* how far it is */
	uint64_t zero, zero_end;	/* to be zero, beside what it is about */
	uint64_t drop;		/* a RESIZE: from here on to the old end it is still to be dropped */
	uint64_t logged;	/* a change that the log has and the base has not, or not all of it: its generation; else 0 */
	struct loop_task task;
	struct gen *gen;
	union {
		struct redo_io redo;
		struct base_io base;
	};
};

/* The bytes to the disk, then what the log has no need to keep. */
struct tidy {
	bool running, again;
	bool dirty;		/* the base has what was not flushed */
	struct loop_timer timer;
	struct redo_io redo;
	struct base_io base;
	uint64_t gen, pushed, mark;
	unsigned int drops;	/* version.drops, when the flush began */
	int error;
	int told;		/* the last one that the log of the helper has */
	void (*then)(struct store *store);
};

/* Which state of the source the clean bytes are of. */
struct version {
	struct loop_work work;
	char *noted;			/* the newest, or what was found; NULL: none */
	char *writing, *next;
	unsigned int drops, gone;	/* how often clean bytes were dropped; of these, gone from the disk as well */
	bool broken;			/* the log could not note that: no version is, until the next start */
	bool pushing;			/* DIR/pushing is there, or is about to be */
	bool settled, settling;		/* of next and writing: DIR/pushing goes with it */
	struct store_io *begin;		/* waits for that, or for its file */
	bool working;			/* work is in a worker */
	void (*then)(struct store *store);
};

/* At the start: what the log has goes over the base again. */
struct replay {
	struct store *store;
	struct redo_found found;
	size_t begin;		/* the first record that was not forgotten */
	uint64_t pushed;
	uint64_t stale;		/* of these, what the source has newer */
	uint64_t size;		/* the region's, as the log ends with it; not more than store->size */
	struct gen *gen;
	uint64_t from;
	bool running, more;
	char *buffer;
	uint64_t start, end;
	union {
		struct redo_io redo;
		struct base_io base;
	};
};

struct store {
	struct loop *loop;
	struct store_options options;	/* its strings are the store's own */
	bool durable, was_there, full;
	struct base *base;
	struct redo *redo;
	_Atomic uint64_t size;
	uint64_t last_change;		/* loop_now_ns() */

	struct list gens;		/* struct gen, oldest first */
	uint64_t newest, pushed, recovered;
	uint64_t cut;			/* store_cut() */
	uint64_t noted;			/* PUSHED that is in the log */
	uint64_t unpushed;
	uint64_t high;			/* the highest of gens */
	bool noting;
	unsigned int forgetting;
	struct redo_io note;
	struct list noters;		/* ops of store_note(), until noted is what they want */
	_Atomic bool holes;

	struct list ops, ready, held;
	bool draining, holding;
	struct tidy tidy;
	struct version version;
	char *mark;			/* that was found, */
	char *leaving;			/* and that is to be left */

	struct replay *replay;
	struct loop_work work;
	struct loop_task task;
	int dir_fd;
	struct lock lock;
	unsigned int lock_tries;
	void (*locked)(struct store *store, int error);
	int error;			/* of the opening */
	char why[320];
	bool remove;
	void (*closed)(void *arg);
	void *closed_arg;
};

static inline uint64_t store_page_down(uint64_t at)
{
	return at & ~(uint64_t)(STORE_PAGE - 1);
}

static inline uint64_t store_page_up(uint64_t at)
{
	return at > UINT64_MAX - STORE_PAGE ? UINT64_MAX : store_page_down(at + STORE_PAGE - 1);
}

static inline struct store_io *store_io_of(struct op *op)
{
	return (struct store_io *)((char *)op - offsetof(struct store_io, private));
}

static inline struct gen *store_gen_of(struct store_gen *gen)
{
	return container_of(gen, struct gen, gen);
}

/* store-op.c: puts an operation in order, then op_run() of its kind is called. */
void store_op_start(struct store *store, struct store_io *io, enum op_kind kind);
void store_op_done(struct op *op, int error);

/* store-change.c */
void store_change_run(struct op *op);
void store_change_range(struct op *op);
/* How much of zeroes from a place on goes to the base in one step. */
uint64_t store_step(uint64_t from, uint64_t end);
/* Those that were held go on. */
void store_unhold(struct store *store);

/* store-bytes.c */
void store_read_run(struct op *op);
void store_fill_run(struct op *op);
void store_check_run(struct op *op);

/* store-piece.c: where the bytes from a place on are, at most up to limit. */
enum piece_where {
	PIECE_BASE,
	PIECE_LOG,
	PIECE_ZERO,
	PIECE_ABSENT,
};

struct piece {
	enum piece_where where;
	uint64_t end;
	uint64_t at;		/* in the log */
};

void store_piece(struct store *store, uint64_t from, uint64_t limit, struct piece *piece);

/* store-gen.c: what a change is in its generation. */
struct gen *store_gen_get(struct store *store, uint64_t gen);	/* NULL: no memory */
/* One more change of it is in the log, or a part of one, with so many bytes. */
void store_gen_charge(struct store *store, struct gen *gen, uint64_t bytes);
int store_gen_put(struct store *store, struct gen *gen, uint64_t start, uint64_t end, uint64_t at);
/* The region grows to size by a write at offset: what was cut off before is zero, and not what the source still has there. */
int store_gen_grow(struct store *store, struct gen *gen, uint64_t offset, uint64_t *zero, uint64_t *zero_end);
int store_gen_resize(struct store *store, struct gen *gen, uint64_t old, uint64_t size, uint64_t low, uint64_t *zero,
		     uint64_t *zero_end);
/* The size that the source may have, where something was cut off that it has still. */
uint64_t store_gen_high(const struct store *store);
void store_gen_drop(struct store *store, struct gen *gen);
/* Puts what any of them has into an empty map. -ENOMEM: it has a part. */
int store_gen_all(struct store *store, struct extents *all);
/* PUSHED, if it isn't in the log yet. */
void store_gen_note(struct store *store);

/* store-void.c */
void store_void_run(struct op *op);
/* Of all generations that there are. -ENOMEM: some may have it still. */
int store_void_range(struct store *store, uint64_t start, uint64_t end);

/* store-tidy.c */
void store_tidy_soon(struct store *store);
/* Everything to the disk, and then; nothing else is under way. */
void store_tidy_last(struct store *store, void (*then)(struct store *store));

/* store-replay.c */
int store_replay_look(struct store *store);	/* blocks; after redo_open(), before base_open() */
void store_replay(struct store *store);		/* store_opened() comes after it */

/* store-lock.c */
void store_lock_init(struct store *store);
/* Makes the directory, and keeps others from it. On error why has a sentence, or not. */
void store_lock(struct store *store, void (*locked)(struct store *store, int error));
void store_lock_drop(struct store *store);
/* The lock goes, and with it the empty directory. Blocks. */
int store_lock_remove(struct store *store);

/* store-version.c */
int store_version_read(struct store *store);	/* blocks */
int store_mark_take(struct store *store);	/* blocks */
/* At the end; then nothing of it is under way. */
void store_mark_leave(struct store *store, void (*then)(struct store *store));
/* Then nothing of it is under way. */
void store_version_keep(struct store *store, void (*then)(struct store *store));
/* What the first drops have dropped is gone. */
void store_version_gone(struct store *store, unsigned int drops);
void store_drop_run(struct op *op);

/* store.c */
int store_make_dir(struct store *store);	/* blocks */
void store_opened(struct store *store, int error);

#endif
