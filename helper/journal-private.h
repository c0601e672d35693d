/* SPDX-License-Identifier: GPL-2.0 */
/* What journal.c (staging and publishing), journal-gate.c, journal-file.c (what blocks) and journal-apply.c share. */
#ifndef REGIONFS_JOURNAL_PRIVATE_H
#define REGIONFS_JOURNAL_PRIVATE_H

#include <pthread.h>

#include "extents.h"
#include "journal.h"

#define JOURNAL_MAGIC		0x4c4e524a53464752ULL	/* "RGFSJRNL"; a host of the other byte order sees no journal */
#define JOURNAL_VERSION		2u
#define JOURNAL_SLOT		4096u			/* two heads, written in turn: one that was torn leaves the other */
#define JOURNAL_START		(2 * JOURNAL_SLOT)
#define JOURNAL_PIECE		(256u << 10)		/* most data of a record, so that one fits in memory */
#define JOURNAL_BLOCK		(1u << 20)		/* records are read back by so much */
#define JOURNAL_WINDOW		32u			/* requests to the source at once */

/* What stands of batches: the newer of two that are right. Both are written before what they say is relied on: either may rot. */
struct journal_head {
	uint64_t magic;
	uint32_t version, crc;		/* crc: of all of it, taken with 0 in its place */
	uint64_t seq;
	uint64_t batch;			/* decided, and not yet known to be done; 0: none */
	uint64_t end;			/* of its records */
	uint64_t done;			/* the batch that was done last */
	/* struct backend_published of batch or, without, of done */
	uint64_t offset, length, size, resized;
	uint64_t identity[BACKEND_IDENTITY];	/* the source's */
};

#define JOURNAL_ZERO		(1u << 0)		/* WRITE: of zeroes, which don't follow */

/* One staged request, or a piece of a WRITE; a WRITE's bytes follow. */
struct journal_record {
	uint64_t batch, at;		/* at: where in the file it stands */
	uint64_t offset, length, arg;	/* as in the request */
	uint32_t op;
	uint32_t data_crc, crc;		/* crc: of the record, taken with 0 in its place */
	uint32_t flags;
};

enum journal_gate {
	GATE_OPEN,
	GATE_CLOSED,			/* requests to the source are held, until those that are there have ended */
	GATE_APPLYING,			/* and all but READs of what the batch leaves alone, until it is done */
	GATE_BROKEN,			/* and answered with an error: a decided batch could not be done */
};

struct journal_apply {
	struct journal *journal;
	char *block;
	uint64_t block_at, block_len;	/* what of the file is in it */
	uint64_t wanted;		/* how much is to be in it */
	uint64_t at;			/* the next record */
	unsigned int running;
	bool reading, syncing, stepping, reserving;
	struct loop_work work;
	int error;
	struct loop_op op;
	struct backend_req req[JOURNAL_WINDOW];
	bool used[JOURNAL_WINDOW];
};

struct journal {
	struct backend *backend;
	uint32_t attach_gen;		/* of who has opened the backend */
	uint64_t epoch;
	char *path;			/* NULL: the source has no place for one */
	int fd;				/* -1: there is no file yet */
	bool durable;			/* on a disk: what has to last is synced */
	bool named;			/* its name lasts, too */
	uint64_t identity[BACKEND_IDENTITY];	/* the source's that is open */
	struct journal_head head;	/* as it stands in the file */
	/* the batch that is being staged; 0: none */
	uint64_t batch, end;
	uint64_t limit;			/* end may come so far: something is left for others */
	struct backend_published changed;
	struct extents touched;		/* what it changes; it stays while it is being done */
	unsigned int writing;		/* its requests on their way to the file */
	bool stale;			/* what stands in the file past its start is not wanted any more */
	bool busy;			/* a step is under way: others wait */
	struct list waiting;		/* struct backend_req: staged ones, PUBLISH */
	struct backend_req *req;	/* whose step it is; NULL while opening */
	struct loop_work work;
	void (*opened)(struct backend *backend, int error);
	/* journal-apply.c's */
	struct journal_apply *apply;
	void (*applied)(struct journal *journal, int error);
	/* journal-gate.c's */
	atomic_uint in_flight;
	_Atomic(enum journal_gate) gate;
	pthread_mutex_t lock;		/* of held */
	struct list held;		/* struct backend_req */
	int error;			/* GATE_BROKEN: the answer */
	struct loop_task drained;
	atomic_bool drain_posted;
	void (*idle)(struct journal *journal);
};

/* ---- journal.c ---- */

/* Does the decided batch, then answers journal->req or, without, opened(). */
void journal_replay(struct journal *journal);

/* ---- journal-gate.c ---- */

void gate_init(struct journal *journal);
/*
 * idle(journal) once nothing is under way at the source, maybe from within. From then on READs that touch nothing of journal->touched are let
 * through, which does not change until the gate is opened.
 */
void gate_close(struct journal *journal, void (*idle)(struct journal *journal));
/* error: what is held, and all that comes, is answered with it. */
void gate_open(struct journal *journal, int error);

/* ---- journal-file.c: these block, and run in the pool ---- */

/* Finds the file, and reads what stands in it; -1 in fd where there is none. -EUCLEAN: it is no journal, or a damaged one. */
int journal_file_look(struct journal *journal, bool read_only);
/* Are all the records of the decided batch right? */
int journal_file_check(struct journal *journal);
/* An empty batch: makes the file where there is none. How long it may become is looked at. */
int journal_file_begin(struct journal *journal);
/* The batch's records are durable, and the source can be as long, and has the room, as they want. */
int journal_file_settle(struct journal *journal);
/*
 * A source that turns out to be full when half of the batch is there would stay shut until somebody makes room. So that is taken before. end: of
 * the records.
 */
int journal_file_reserve(const struct journal *journal, uint64_t end);
/* Writes down that the batch is decided, or (0) that the one that was is done. */
int journal_file_note(struct journal *journal, uint64_t batch);

uint32_t journal_record_crc(const struct journal_record *record);
/* How many bytes follow it? */
uint64_t journal_record_data(const struct journal_record *record);
/* Can this be staged at all? -EINVAL, -EFBIG: it can't. Any thread. */
int journal_range_check(uint32_t op, uint64_t offset, uint64_t length, uint64_t arg);

/* ---- journal-apply.c ---- */

/* Does the decided batch to the source, and syncs that; then done(journal, error), maybe from within. */
void journal_apply(struct journal *journal, void (*done)(struct journal *journal, int error));

#endif
