// SPDX-License-Identifier: GPL-2.0
/*
 * follower: what the local store has, from an earlier stay, an earlier owner or the host's earlier life, is compared by hashes with what is there. The other
 * side tracks by then, so what is changed while it is asked is in a later round.
 */
#include <errno.h>
#include <stdlib.h>

#include "backends/peer.h"
#include "follower-private.h"
#include "regiond.h"
#include "span-hashes.h"

#define SPAN 64u	/* chunks that are compared at a time */

struct compare {
	struct follower *follower;
	struct span_hashes span;
};

static void compare_next(struct compare *compare);

static void compare_end(struct compare *compare, int error)
{
	struct follower *follower = compare->follower;

	follower->comparing = NULL;
	free(compare->span.buffer);
	free(compare);
	if (follower_leaves(follower))
		follower_check_leave(follower);
	else
		follower_compared(follower, error);
}

static void take(struct compare *compare)
{
	struct follower *follower = compare->follower;
	const struct span_hashes *span = &compare->span;

	for (uint64_t i = 0; i < span->count; i++) {
		uint64_t chunk = span->first + i;
		bool same = span_hashes_same(span, i);

		if (!same)
			follower_need(follower, chunk, chunk + 1);
		if (!follower->shown)
			chunkmap_set(follower->map, chunk, chunk + 1, same);
		follower->reused += same ? FOLLOWER_CHUNK : 0;
	}
}

static void span_done(struct span_hashes *span, int error)
{
	struct compare *compare = container_of(span, struct compare, span);

	if (!error)
		take(compare);
	span->first += span->count;
	if (error || follower_leaves(compare->follower) || !compare->follower->connected)
		compare_end(compare, error);
	else
		compare_next(compare);
}

static void compare_next(struct compare *compare)
{
	struct follower *follower = compare->follower;
	struct region *region = follower->handover.region;
	struct span_hashes *span = &compare->span;

	if (span->first >= follower_chunks(follower->size)) {
		compare_end(compare, 0);
		return;
	}
	span_hashes_ask(span, peer_session(follower->peer), span->first, follower->size, true);
	region_submit(follower->regiond->regions, region->info.id, &span->read);
}

void follower_compare(struct follower *follower)
{
	struct compare *compare = calloc(1, sizeof(*compare));

	if (compare)
		compare->span.buffer = malloc(SPAN * (size_t)FOLLOWER_CHUNK);
	if (!compare || !compare->span.buffer) {
		free(compare);
		follower_compared(follower, -ENOMEM);
		return;
	}
	compare->span.loop = follower->regiond->loop;
	compare->span.chunk = FOLLOWER_CHUNK;
	compare->span.most = SPAN;
	compare->span.done = span_done;
	compare->follower = follower;
	follower->comparing = compare;
	compare_next(compare);
}
