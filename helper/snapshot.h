/* SPDX-License-Identifier: GPL-2.0 */
/*
 * snapshot: some chunks of a region, as they were at a moment, for as long as somebody reads them. A WRITE, DISCARD or RESIZE that would
 * change one waits until the chunk has been copied to a file without a name: copy before write. Reading takes the copy where there
 * is one, else the region's backend.
 *
 * There is a bound to what is copied. Beyond it, and when copying fails, the snapshot is lost: nobody waits any more, and reading it fails
 * with -ESTALE. It is the reader who has to begin anew then, never the writer who has to wait.
 *
 * Order: requests of the kernel that overlap come one after the other, so one that waits overtakes nothing and is overtaken by nothing that
 * matters. What waits has not been given to the backend.
 *
 * Threads: snapshot_hold() any; the rest the main loop's. Life: what it has under way keeps it.
 */
#ifndef REGIONFS_SNAPSHOT_H
#define REGIONFS_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"

struct region;
struct snapshot;
struct tracker;

/* So long a writer waits for a copy at most; but for tests, two seconds. */
extern unsigned int snapshot_wait_ms;

/* limit: bytes that may be copied. -ENOMEM, or what no file comes of. */
int snapshot_new(struct snapshot **snapshot, struct region *region, uint32_t chunk, uint64_t limit);
/* Nobody comes past snapshot_hold() until snapshot_begin(), which takes the chunks of the tracker's closed round, up to the size. */
void snapshot_bar(struct snapshot *snapshot);
void snapshot_begin(struct snapshot *snapshot, struct tracker *tracker, uint64_t size);
/* Who waits goes on. It is freed when nothing is under way. */
void snapshot_end(struct snapshot *snapshot);

/* Takes a request that would change what has not been copied; region_start_again() then, whatever comes. */
bool snapshot_hold(struct snapshot *snapshot, struct backend_req *req);
/* A READ, with memory for its bytes. -ESTALE: the snapshot is lost. Ends in req->done, also after snapshot_end(). */
void snapshot_read(struct snapshot *snapshot, struct backend_req *req);

bool snapshot_is_lost(const struct snapshot *snapshot);
/* Bytes that were copied so far. */
uint64_t snapshot_copied(const struct snapshot *snapshot);

#endif
