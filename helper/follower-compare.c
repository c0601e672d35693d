// SPDX-License-Identifier: GPL-2.0
/*
 * follower: what the local store has, from an earlier stay, an earlier owner or the host's earlier life, is compared by hashes with what is there. The other
 * side tracks by then, so what is changed while it is asked is in a later round.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/peer.h"
#include "chunk-hash.h"
#include "follower-private.h"
#include "regiond.h"

#define SPAN 64u	/* chunks that are compared at a time */

struct compare {
	struct follower *follower;
	uint64_t first, count;		/* chunks */
	uint32_t length;		/* bytes */
	struct backend_req read;
	struct loop_work work;
	struct link_req message;
	uint8_t body[16];
	uint8_t *buffer;
	uint8_t ours[SPAN * CHUNK_HASH], theirs[SPAN * CHUNK_HASH];
	unsigned int waits;		/* for the hashes of both sides */
	int error;
};

static void compare_next(struct compare *compare);

static void compare_end(struct compare *compare)
{
	struct follower *follower = compare->follower;
	int error = compare->error;

	follower->comparing = NULL;
	free(compare->buffer);
	free(compare);
	if (follower_leaves(follower))
		follower_check_leave(follower);
	else
		follower_compared(follower, error);
}

static void take(struct compare *compare)
{
	struct follower *follower = compare->follower;
	uint64_t told = compare->message.got / CHUNK_HASH;

	for (uint64_t i = 0; i < compare->count; i++) {
		uint64_t chunk = compare->first + i;
		bool same = i < told && !memcmp(compare->ours + i * CHUNK_HASH, compare->theirs + i * CHUNK_HASH, CHUNK_HASH);

		if (!same)
			follower_need(follower, chunk, chunk + 1);
		if (!follower->shown)
			chunkmap_set(follower->map, chunk, chunk + 1, same);
		follower->reused += same ? FOLLOWER_CHUNK : 0;
	}
}

static void side_done(struct compare *compare, int error)
{
	if (error && !compare->error)
		compare->error = error;
	if (--compare->waits)
		return;
	if (!compare->error)
		take(compare);
	compare->first += compare->count;
	if (compare->error || follower_leaves(compare->follower) || !compare->follower->connected)
		compare_end(compare);
	else
		compare_next(compare);
}

static void theirs_came(struct link_req *req, int error)
{
	side_done(container_of(req, struct compare, message), error);
}

static int hash_ours(struct loop_work *work)
{
	struct compare *compare = container_of(work, struct compare, work);

	return chunk_hashes(compare->buffer, compare->length, FOLLOWER_CHUNK, compare->ours);
}

static void ours_hashed(struct loop_work *work, int res)
{
	side_done(container_of(work, struct compare, work), res);
}

static void ours_read(struct backend_req *req, int error)
{
	struct compare *compare = container_of(req, struct compare, read);

	if (error) {
		side_done(compare, error);
		return;
	}
	compare->work.work = hash_ours;
	compare->work.done = ours_hashed;
	loop_work(compare->follower->regiond->loop, &compare->work);
}

static void ask(struct compare *compare)
{
	struct wire_extent extent = { .chunk = compare->first, .count = (uint32_t)compare->count };
	struct link_req *req = &compare->message;

	memset(req, 0, sizeof(*req));
	req->type = WIRE_HASHES;
	req->data = compare->body;
	req->data_len = (uint32_t)wire_encode(WIRE_S_EXTENT, &extent, compare->body, sizeof(compare->body));
	req->into = compare->theirs;
	req->into_len = sizeof(compare->theirs);
	req->done = theirs_came;
	session_urgent(peer_session(compare->follower->peer), req);
}

static void compare_next(struct compare *compare)
{
	struct follower *follower = compare->follower;
	uint64_t chunks = follower_chunks(follower->size), offset = compare->first * FOLLOWER_CHUNK;
	struct region *region = follower->handover.region;

	if (compare->first >= chunks) {
		compare_end(compare);
		return;
	}
	compare->count = chunks - compare->first < SPAN ? chunks - compare->first : SPAN;
	compare->length = follower->size - offset < compare->count * FOLLOWER_CHUNK ? (uint32_t)(follower->size - offset) :
			  (uint32_t)(compare->count * FOLLOWER_CHUNK);
	compare->waits = 2;
	memset(&compare->read, 0, sizeof(compare->read));
	compare->read.op = BACKEND_READ;
	compare->read.flags = BACKEND_BULK;
	compare->read.offset = offset;
	compare->read.length = compare->length;
	compare->read.data = compare->buffer;
	compare->read.loop = follower->regiond->loop;
	compare->read.done = ours_read;
	ask(compare);
	region_submit(follower->regiond->regions, region->info.id, &compare->read);
}

void follower_compare(struct follower *follower)
{
	struct compare *compare = calloc(1, sizeof(*compare));

	if (compare)
		compare->buffer = malloc(SPAN * (size_t)FOLLOWER_CHUNK);
	if (!compare || !compare->buffer) {
		free(compare);
		follower_compared(follower, -ENOMEM);
		return;
	}
	compare->follower = follower;
	follower->comparing = compare;
	compare_next(compare);
}
