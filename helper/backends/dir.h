/* SPDX-License-Identifier: GPL-2.0 */
/* dir: what dir.c (requests), dir-open.c, dir-chunk.c (open chunk files), dir-sync.c and dir-files.c (what blocks) share. */
#ifndef REGIONFS_BACKENDS_DIR_H
#define REGIONFS_BACKENDS_DIR_H

#include <pthread.h>

#include "backend.h"
#include "backends/lock.h"
#include "extents.h"

#define DIR_CHUNK	(1u << 20)	/* unless asked for otherwise */
#define DIR_OPEN_MAX	128		/* chunk files kept open */
#define DIR_DIRTY_MAX	256		/* more, and SYNC is one syncfs */
#define DIR_META	".regionfs"
#define DIR_LOCK	".lock"
#define DIR_JOURNAL	".journal"
#define DIR_BUCKETS	256
#define DIR_GROUP	64		/* chunks whose states have one sum */

/* The SYNC that is under way, for all that came while the one before was; what it does is taken off the dir's list. */
struct dir_sync {
	struct loop_work work;
	bool busy;
	struct list waiting, running;	/* struct backend_req */
	bool all, names, meta;
	unsigned int nr_dirty;
	uint64_t dirty[DIR_DIRTY_MAX];
};

/* BACKEND_VERSION. Of the home loop, but for what is being looked at. */
struct dir_version {
	bool wanted;			/* somebody has asked: what is changed is noted */
	bool scan;			/* the next one looks at all files */
	struct extents touched;		/* groups that were changed since the last one began to look */
	uint64_t cut;			/* of all from this one on there may be less */
	struct list waiting;		/* struct backend_req */
	struct backend_req *req;	/* whose turn it is */
	/* what is being looked at */
	struct loop_work work;
	bool scanning;
	struct extents looking;
	uint64_t looking_from, size;
	uint64_t identity[BACKEND_IDENTITY];
	struct extents sums;		/* each group's, as a place */
	uint64_t sum;			/* of all */
};

struct dir {
	struct backend backend;
	int fd;
	uint32_t chunk;
	uint64_t reach;			/* no byte lies past it: a WRITE that failed, or is under way, may have got so far */
	pthread_mutex_t meta_lock;	/* one writer of the meta file, so that the newest size is the one that stays */
	/* what SYNC has to do; noted when a change is done, before it is answered */
	bool meta_stale;		/* the size is not in the meta file yet */
	bool names_stale;		/* the directory itself has to be synced */
	bool unclean;			/* more files may be dirty than are listed */
	uint64_t dirty[DIR_DIRTY_MAX];	/* chunk numbers that were written since the last SYNC */
	unsigned int nr_dirty;
	struct dir_sync sync;
	struct dir_version version;
	struct list bucket[DIR_BUCKETS];	/* open chunks by number */
	struct list idle;		/* of these, unused ones, longest first */
	unsigned int nr_open;
	struct lock lock;
	bool reaches_all;		/* open->fenced: the lock is one that all hosts hear of */
	unsigned int tries;		/* to have the lock of a directory that is still there */
	struct loop_work work;		/* open, close */
};

/* ---- dir-open.c ---- */

void dir_open(struct backend *backend);
void dir_close(struct backend *backend);

/* ---- dir-chunk.c ---- */

enum chunk_state {
	CHUNK_OPENING,
	CHUNK_OPEN,
};

struct chunk {
	struct dir *dir;
	uint64_t number;
	int fd;
	enum chunk_state state;
	bool doomed;			/* closed as soon as it is unused, and not in its bucket any more */
	bool creating;
	unsigned int users;
	struct list bucket, idle;
	struct list waiting;		/* struct chunk_user */
	struct loop_op op;
	char name[32];
};

struct chunk_user {
	struct list list;
	uint64_t number;
	bool create;			/* else a missing file is -ENOENT */
	void (*ready)(struct chunk_user *user, struct chunk *chunk, int error);
};

void chunks_init(struct dir *dir);
/* ready(user, chunk, 0), maybe from within; then chunk_put() is due. Or an error and no chunk. */
void chunk_get(struct dir *dir, struct chunk_user *user);
void chunk_put(struct chunk *chunk);
/*
 * Forgets those from number on: their files are going. Once before, for room on the disk, and once more when they are gone,
 * since a READ may have opened one meanwhile.
 */
void chunks_drop(struct dir *dir, uint64_t number, uint64_t count);

/* ---- dir-sync.c: what is not durable yet. On the home loop alone ---- */

void dir_sync_init(struct dir *dir);
/* Only what is listed: beyond that, the dir is unclean. */
bool dir_is_dirty(const struct dir *dir, uint64_t number);
void dir_note_dirty(struct dir *dir, uint64_t number);
void dir_sync(struct dir *dir, struct backend_req *req);

/* ---- dir-version.c. On the home loop alone ---- */

void dir_version_init(struct dir *dir);
void dir_version_free(struct dir *dir);
/* Something of this chunk has changed, or (from) of all from it on something may be gone; before it is answered. */
void dir_touch(struct dir *dir, uint64_t number);
void dir_touch_from(struct dir *dir, uint64_t number);
void dir_version(struct dir *dir, struct backend_req *req);

/* ---- dir-files.c: these block, and run in the pool ---- */

void dir_chunk_name(const struct dir *dir, uint64_t number, char name[32]);
/* fn for each name; chunk: its offset, or UINT64_MAX for others. Stops when fn returns non-zero. */
int dir_files_each(struct dir *dir, int (*fn)(struct dir *dir, const char *name, uint64_t chunk, void *arg), void *arg);
/* Before it is locked: nothing is read. -ESTALE, of both: it was deleted just now; close, and find it again. */
int dir_files_find(struct dir *dir, const struct backend_open *open);
/* After. */
int dir_files_open(struct dir *dir, const struct backend_open *open);
int dir_files_write_meta(struct dir *dir);
int dir_files_resize(struct dir *dir, uint64_t lowest, uint64_t size, bool has_more);
int dir_files_sync(struct dir *dir, const uint64_t *dirty, unsigned int nr_dirty, bool all, bool names);
int dir_files_destroy(struct dir *dir);

#endif
