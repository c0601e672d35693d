/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tracker: which chunks of a region have been changed since when. What the backend has done for WRITE, DISCARD and RESIZE is
 * noted when it is done, before the kernel hears of it: whoever reads a chunk after a round has been closed reads
 * everything that the round's list does not name, and what comes later is in the next round.
 *
 * What was noted outlives the helper, in files on the run directory's tmpfs: the next one finds them before it carries out any request,
 * and a request that was under way when this one died is done again there, and noted then.
 *
 * Threads: tracker_note() any; the rest the main loop's. Life: a region's own, from the first time that it is seeded
 * until the region goes, so that a note never finds it freed.
 */
#ifndef REGIONFS_TRACKER_H
#define REGIONFS_TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "wire.h"

struct tracker;

/* path: of its files, without their ending; NULL: they have no names, and go with the process. */
int tracker_new(struct tracker **tracker, const char *path);
/* As an earlier helper has left it. -ENOENT: it was not tracking. */
int tracker_adopt(struct tracker **tracker, const char *path);
/* What a helper that is killed leaves behind stays. */
void tracker_free(struct tracker *tracker);

/* From now on, in chunks of a power of two, for that client; what was noted before is forgotten. */
int tracker_start(struct tracker *tracker, uint32_t chunk, uint64_t size, const uint8_t client[16]);
void tracker_stop(struct tracker *tracker);
/* Its files get the names of this path, where there are none. -ENOMEM, or what rename(2) says: then the next helper finds none. */
int tracker_move(struct tracker *tracker, const char *path);
bool tracker_active(const struct tracker *tracker);
uint32_t tracker_chunk(const struct tracker *tracker);
/* How many rounds have been closed. */
uint32_t tracker_round(const struct tracker *tracker);
/* Is it for this client? */
bool tracker_is_for(const struct tracker *tracker, const uint8_t client[16]);
void tracker_note(struct tracker *tracker, const struct backend_req *req);
/* These bytes count as changed. Any thread. */
void tracker_note_range(struct tracker *tracker, uint64_t offset, uint64_t length);
/* All chunks count as changed, since what was noted is lost. */
void tracker_note_all(struct tracker *tracker, uint64_t size);

/* Closes the running round, for tracker_list(); how many chunks it has. In one store: a helper that dies has closed it or has not. */
uint64_t tracker_close_round(struct tracker *tracker);
/* In the running one. */
uint64_t tracker_dirty(struct tracker *tracker);
uint64_t tracker_closed(const struct tracker *tracker);
/* The chunks that there were at most. */
uint64_t tracker_end(struct tracker *tracker);
/*
 * The closed round's chunks from a chunk on, as runs, at most max of them; how many. *next: where to go on, or 0 when that
 * was all.
 */
unsigned int tracker_list(struct tracker *tracker, uint64_t from, struct wire_extent *extents,
			  unsigned int max, uint64_t *next);

#endif
