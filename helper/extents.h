/* SPDX-License-Identifier: GPL-2.0 */
/*
 * extents: an ordered map of byte ranges that do not overlap, each with a place (an offset into a log, say). Neighbours whose places
 * follow one another are one. Costs memory by the number of ranges, not by their length; every operation is O(log n + what it
 * touches).
 *
 * Threads: the owner's.
 */
#ifndef REGIONFS_EXTENTS_H
#define REGIONFS_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

/* The place of bytes that are zero, however long. */
#define EXTENT_ZERO	UINT64_MAX

struct extent {
	uint64_t start, end;
	uint64_t at;		/* place of start; start + n is at at + n */
};

struct extents {
	void *root;
	uint64_t count;		/* ranges */
	uint64_t bytes;		/* in them */
};

void extents_init(struct extents *extents);
void extents_free(struct extents *extents);
/* In place of what was there. -ENOMEM: nothing has changed. */
int extents_put(struct extents *extents, uint64_t start, uint64_t end, uint64_t at);
/* Cuts a hole. -ENOMEM (it may split one): nothing has changed. */
int extents_cut(struct extents *extents, uint64_t start, uint64_t end);
/* The first range that ends beyond from, whole. false: there is none. */
bool extents_next(const struct extents *extents, uint64_t from, struct extent *extent);
/* Does any range touch these bytes? */
bool extents_any(const struct extents *extents, uint64_t start, uint64_t end);

#endif
