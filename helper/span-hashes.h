/* SPDX-License-Identifier: GPL-2.0 */
/*
 * span-hashes: the hashes of some chunks of a region on both sides, so that what is here need not be fetched. The other side is asked for its own; ours are of
 * what a READ brings, which the user sends to whoever has the bytes. The loop's thread.
 */
#ifndef REGIONFS_SPAN_HASHES_H
#define REGIONFS_SPAN_HASHES_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "chunk-hash.h"
#include "link.h"
#include "loop.h"
#include "session.h"
#include "wire.h"

#define SPAN_MAX WIRE_HASHES_MAX	/* chunks at a time */

struct span_hashes {
	/* the user's, which last from one span to the next */
	struct loop *loop;
	uint32_t chunk;			/* bytes of one */
	unsigned int most;		/* chunks at a time, SPAN_MAX at the most */
	uint8_t *buffer;		/* of so many chunks, for what is read */
	void (*done)(struct span_hashes *span, int error);

	/* the last span */
	uint64_t first, count;		/* chunks */
	uint32_t length;		/* bytes */
	uint64_t told;			/* of these the other side has told: its region may be shorter by now */
	struct backend_req read;
	uint8_t ours[SPAN_MAX * CHUNK_HASH], theirs[SPAN_MAX * CHUNK_HASH];

	/* private */
	struct loop_work work;
	struct link_req message;
	uint8_t body[16];
	unsigned int waits;		/* for the hashes of both sides */
	int error;
};

/*
 * Asks for the span from chunk first on of a region of size bytes, which has more. done is called once, later, with 0 or the first error of either side. With
 * ours, the user submits span->read as soon as this returns; without it, nothing is read, and ours is not set.
 */
void span_hashes_ask(struct span_hashes *span, struct session *session, uint64_t first, uint64_t size, bool ours);
/* Whether both sides have the same in the span's i-th chunk; done has been called, and ours was asked for. */
bool span_hashes_same(const struct span_hashes *span, uint64_t i);

#endif
