/* SPDX-License-Identifier: GPL-2.0 */
/*
 * chunkmap: which chunks of a region that comes from another host are here, and how far its migration has come. A file
 * on the run directory's tmpfs, mapped, so that a helper that is killed at any instant leaves it whole to the next. What outlives
 * the host is leech-record.h's.
 *
 * Order: a chunk's bytes are in the local store before its bit is set; the state is changed last.
 *
 * Threads: one loop's alone.
 */
#ifndef REGIONFS_CHUNKMAP_H
#define REGIONFS_CHUNKMAP_H

#include <stdbool.h>
#include <stdint.h>

struct chunkmap;

enum chunkmap_state {
	CHUNKMAP_PULLING	= 1,	/* the other side owns the region */
	CHUNKMAP_OWNED		= 2,	/* this one does; some chunks are still there */
	CHUNKMAP_COMPLETE	= 3,	/* all is here */
};

struct chunkmap_owner {
	uint64_t epoch;
	uint8_t nonce[16];
	uint64_t lineage;
	uint32_t mode, uid, gid;
};

/* Makes a new one: nothing is present. chunk: a power of two. */
int chunkmap_create(struct chunkmap **map, const char *path, uint64_t instance, uint32_t chunk, uint64_t size);
/* -ENOENT; -ESTALE: it is of another life of the instance, or no chunkmap. */
int chunkmap_open(struct chunkmap **map, const char *path, uint64_t instance);
/* The file stays. */
void chunkmap_close(struct chunkmap *map);
void chunkmap_unlink(const char *path);

enum chunkmap_state chunkmap_state(const struct chunkmap *map);
void chunkmap_set_state(struct chunkmap *map, enum chunkmap_state state);
/* The owner to be, as FINALIZE gave it, and what the kernel is to be told of the region. Its size is the map's, until programs change it. */
void chunkmap_set_owner(struct chunkmap *map, const struct chunkmap_owner *owner);
const struct chunkmap_owner *chunkmap_owner(const struct chunkmap *map);

/* The last round of dirty chunks whose list has been taken whole. */
uint32_t chunkmap_round(const struct chunkmap *map);
void chunkmap_set_round(struct chunkmap *map, uint32_t round);

uint32_t chunkmap_chunk(const struct chunkmap *map);
uint64_t chunkmap_size(const struct chunkmap *map);
uint64_t chunkmap_chunks(const struct chunkmap *map);
/* Chunks beyond a new end are forgotten; new ones are absent. -ENOSPC, -ENOMEM. */
int chunkmap_resize(struct chunkmap *map, uint64_t size);

bool chunkmap_present(const struct chunkmap *map, uint64_t chunk);
/* All chunks from first up to, not including, end. */
void chunkmap_set(struct chunkmap *map, uint64_t first, uint64_t end, bool present);
/* The first chunk from a place on that is absent, or chunkmap_chunks(). */
uint64_t chunkmap_absent(const struct chunkmap *map, uint64_t from);
uint64_t chunkmap_missing(const struct chunkmap *map);
/* BITMAP_WORDS() of its chunks, until it is resized. */
const uint64_t *chunkmap_bits(const struct chunkmap *map);

#endif
