/* SPDX-License-Identifier: GPL-2.0 */
/* redo-internal: what the parts of the log (redo.h) share. */
#ifndef REGIONFS_STORES_REDO_INTERNAL_H
#define REGIONFS_STORES_REDO_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "list.h"
#include "loop.h"
#include "stores/redo.h"

/* ---- on the disk, in this host's byte order ---- */

#define REDO_HEAD	4096u
#define REDO_MAGIC	0x00dec0de52464452ull
#define REDO_VERSION	1u

struct redo_head {
	uint64_t magic;
	uint32_t version;
	uint32_t crc;			/* of the head, with this one zero */
	uint64_t nr;
	uint64_t instance;
	uint32_t segment;
	uint32_t identity_crc;
	uint64_t identity_len;
	char identity[REDO_HEAD - 48];	/* as far as it fits */
};

#define REDO_RECORD_MAGIC	0x0d0e5200u	/* the kind in the lowest byte */

struct redo_header {
	uint32_t magic;
	uint32_t chain;			/* crc of the record before it; 0: there is none that matters */
	uint64_t at;			/* its own place */
	uint64_t gen, offset, length, arg, size;
	uint32_t data_crc;
	uint32_t crc;			/* of the header, up to here */
};

_Static_assert(sizeof(struct redo_head) == REDO_HEAD, "redo_head");
_Static_assert(sizeof(struct redo_header) == 64, "redo_header");

#define REDO_ALIGN	((uint32_t)sizeof(struct redo_header))

/* The number of a segment is in a place's upper bits. */
#define REDO_SHIFT	24
_Static_assert(REDO_SEGMENT_MAX <= 1u << REDO_SHIFT, "a place");

static inline uint64_t redo_place(uint64_t nr, uint32_t offset)
{
	return nr << REDO_SHIFT | offset;
}

/* What a record takes. */
static inline uint32_t redo_room_for(uint32_t data)
{
	return REDO_ALIGN + ((data + REDO_ALIGN - 1) & ~(REDO_ALIGN - 1));
}

/* ---- in memory ---- */

/* A WRITE in a segment. */
struct redo_entry {
	uint32_t data;		/* offset of its data */
	uint32_t length;
	uint32_t crc;
};

struct redo_segment {
	struct list list;	/* of redo->segments */
	struct redo_segment *hash_next;	/* of its bucket */
	uint64_t nr;
	int fd;			/* -1: it is not open */
	struct list rest;	/* of redo->rest: open, and only read */
	struct list waiting;	/* redo_io, until it is open */
	bool opening;
	struct loop_op open;
	struct loop_timer again;
	char name[32];
	uint32_t size;
	uint32_t end;		/* of its records */
	uint64_t newest;	/* generation of them */
	bool dirty;		/* written since the last fsync began; on a disk */
	struct list dirty_list;	/* of redo->dirty */
	bool syncing;
	bool failed;		/* an fsync of it: only a copy can be trusted to be on the disk (redo-repair.c), nothing is added */
	uint32_t sync_end;	/* up to here it is on the disk when the fsync has ended */
	unsigned int readers;
	struct redo *redo;
	struct loop_op op;
	struct loop_work work;
	int copy_fd;
	struct redo_entry *entries;	/* by place */
	size_t n, max;
};

#define REDO_BATCH	64
#define REDO_BATCH_BYTES (4u << 20)

struct redo_batch {
	unsigned int n;			/* records */
	uint32_t bytes;
	uint32_t chain;			/* before it */
	struct redo_io *io[REDO_BATCH];
	struct redo_header header[REDO_BATCH];
	struct iovec iov[3 * REDO_BATCH];	/* header, data, padding */
	unsigned int iovs, next;		/* next to be written */
	struct loop_op op;
};

struct redo {
	struct loop *loop;
	bool durable;
	int dir_fd;
	int error;			/* of the last fsync that failed, until one has made it good */
	uint32_t size;			/* of new segments */
	struct redo_head head;		/* of new segments, but for nr and crc */
	uint64_t last_nr;
	uint32_t chain;
	unsigned int nr_segments;
	struct list segments;		/* full ones, the current one, empty ones; by nr */
	struct redo_segment *bucket, **buckets;	/* of segments by nr, a power of two; bucket: until there are some */
	unsigned int nr_buckets;
	struct list rest;		/* segments; what was read last comes last */
	unsigned int nr_rest;
	struct list dirty;
	struct redo_segment *current;	/* NULL: the first empty one will be */
	struct list queue;		/* redo_io, to be written */
	bool running, writing;
	struct redo_batch batch;

	struct list sync_waiting, sync_served;
	unsigned int syncing;		/* files */
	bool repaired, synced;		/* what the round under way has begun: those that have failed before, the others */
	int sync_error;
	uint64_t synced_place;		/* what comes before it is on the disk, */
	uint64_t sync_place;		/* and will be, when the round has ended without an error */

	/* One worker at most makes or removes files. */
	struct loop_work work;
	bool working, head_waits;	/* the first in the queue needs what is being made */
	int make_error;
	unsigned int want;
	struct list made, doomed;
	bool stuck;			/* the first of the doomed could not be removed */
	uint64_t free_gen, free_mark;	/* what redo_free() found it working at; free_mark 0: nothing */
	void (*freed)(void *arg);
	void *freed_arg;

	void (*closed)(void *arg);
	void *closed_arg;
	uint64_t closed_gen;
};

/* redo-segment.c: those that block are for a worker. */
struct redo_segment *redo_segment_new(struct redo *redo, uint64_t nr, int fd);
void redo_segment_free(struct redo_segment *segment);
int redo_segment_note(struct redo_segment *segment, uint32_t data, uint32_t length, uint32_t crc);
void redo_segment_name(char name[32], const char *what, uint64_t nr);
unsigned int redo_spares(const struct redo *redo);
/* The place of what is appended next, or one before it with nothing in between. */
uint64_t redo_end(const struct redo *redo);
/* Goes on in the first empty one. */
void redo_rotate(struct redo *redo);
/* Makes empty ones until there are so many; redo_run() comes after it. */
void redo_make(struct redo *redo, unsigned int want);
/*
 * After a scan: an empty one, so that PUSHED can be noted. Where there is no room for it the log goes on behind its end, where the last segment may
 * have some. Blocks.
 */
void redo_reserve(struct redo *redo);
int redo_unlink(struct redo *redo, const char *name);
uint32_t redo_head_crc(const struct redo_head *head);

/* redo-file.c */
/* As the last one. */
void redo_segment_add(struct redo *redo, struct redo_segment *segment);
void redo_segment_del(struct redo *redo, struct redo_segment *segment);
/* NULL: the place is in none. */
struct redo_segment *redo_segment_find(struct redo *redo, uint64_t at);
/* If it is only to be read from now on: its file needn't stay open. */
void redo_file_rest(struct redo_segment *segment);
/* Opens it for io, which is one of its readers; redo_read_opened() comes after it, or from within. */
void redo_file_open(struct redo_segment *segment, struct redo_io *io);
void redo_file_close(struct redo_segment *segment);
/* These block. A scan is through with it. */
void redo_file_found(struct redo_segment *segment);
/* The log goes on in it: it is open for that. */
int redo_file_write(struct redo_segment *segment);

/* redo-scan.c */
int redo_scan(struct redo *redo, const struct redo_options *options, struct redo_found *found, char *why, size_t why_len);

/* redo-repair.c: makes a copy of a segment up to its sync_end in its place, durably. Blocks; copy_fd is the copy. */
int redo_repair(struct redo_segment *segment);

/* redo.c: goes on with the queue. */
void redo_run(struct redo *redo);
/* redo-sync.c */
void redo_sync_start(struct redo *redo);
void redo_segment_dirty(struct redo_segment *segment);
void redo_read_opened(struct redo_io *io, int error);

#endif
