/* SPDX-License-Identifier: GPL-2.0 */
/*
 * chunk-index: which bytes regions of this instance have, by the hashes of their chunks, so that bytes that are known by their hash need not come from far away.
 * It is a struct places: what is found is read again, and looked at again, since a region may change at any time. 43 bytes of memory a chunk at most, 64 while the
 * table grows; holes, and what a managed region has at its source alone, are not read.
 *
 * Threads: the main loop's alone; reading goes on between, hashing in the pool.
 */
#ifndef REGIONFS_CHUNK_INDEX_H
#define REGIONFS_CHUNK_INDEX_H

#include <jansson.h>
#include <stdint.h>

#include "places.h"

struct chunk_index;
struct regiond;

/*
 * Of the regions that an array of paths names (a region that is not there, or cannot be read, is passed over, and the log says so), in chunks of so many bytes.
 * done(arg, places), never from within: one reference for the callee. NULL: no memory.
 */
struct chunk_index *chunk_index_build(struct regiond *regiond, json_t *paths, uint32_t chunk, void (*done)(void *arg, struct places *places),
				      void *arg);
/* done comes soon, with what there is by then. */
void chunk_index_stop(struct chunk_index *index);

#endif
