// SPDX-License-Identifier: GPL-2.0
/* leecher: messages to the seeder, and rounds of dirty chunks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "leecher-private.h"

/* More single ranges than this are one that covers them all: dropping clean pages costs little. An attribute has less than 64 KiB. */
#define RANGES_MOST 4000u
/* As many as the largest file has: beyond it no offset is one. */
#define LIST_CHUNKS_MOST ((uint64_t)INT64_MAX / chunk)
/* More than that would stand in the way of what programs ask for. */
#define HURRY_MOST (256u << 10)

void leecher_send(struct leecher *leecher, uint8_t type, uint32_t len, void (*done)(struct link_req *req, int error))
{
	struct link_req *req = &leecher->message;

	memset(req, 0, sizeof(*req));
	req->type = type;
	req->data = leecher->body;
	req->data_len = len;
	req->into = leecher->reply;
	req->into_len = LEECHER_REPLY;
	req->done = done;
	leecher->asking = true;
	session_urgent(leech_session(leecher->leech), req);
}

/* ---- lists ---- */

int leecher_add_range(struct leecher *leecher, uint64_t offset, uint64_t length)
{
	struct regionfs_range range = { .offset = offset, .length = length };
	struct regionfs_range *ranges;
	unsigned int max;

	if (leecher->nr_ranges == RANGES_MOST) {
		leecher->ranges[0] = (struct regionfs_range){ .offset = 0, .length = INT64_MAX };
		leecher->nr_ranges = 1;
	}
	if (leecher->nr_ranges == leecher->max_ranges) {
		max = leecher->max_ranges ? leecher->max_ranges * 2 : 64;
		ranges = realloc(leecher->ranges, max * sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		leecher->ranges = ranges;
		leecher->max_ranges = max;
	}
	leecher->ranges[leecher->nr_ranges++] = range;
	return 0;
}

int leecher_take_list(struct leecher *leecher, const struct wire_dirty_reply *list, size_t used)
{
	uint64_t chunk = chunkmap_chunk(leech_map(leecher->leech));
	uint64_t chunks = LIST_CHUNKS_MOST;
	bool final = leecher->state == LEECHER_FINALIZING;

	for (uint32_t i = 0; i < list->count; i++) {
		struct wire_extent extent;
		int n = wire_decode(WIRE_S_EXTENT, leecher->reply + used, leecher->message.got - used, &extent);

		if (n < 0)
			return n;
		used += (size_t)n;
		if (extent.chunk > chunks || extent.count > chunks - extent.chunk)
			return -EPROTO;
		leech_forget(leecher->leech, extent.chunk, extent.count);
		if (final && leecher_add_range(leecher, extent.chunk * chunk, extent.count * chunk))
			return -ENOMEM;
	}
	return 0;
}

/* Those whose bytes come beside the list: of a short one all, in its order. */
static void expect_lasts(struct leecher *leecher, uint64_t chunk)
{
	uint32_t index = 0;

	for (unsigned int i = 0; i < leecher->nr_ranges && index < leecher->final.dirty.total; i++)
		for (uint64_t j = 0; j < leecher->ranges[i].length / chunk && index < leecher->final.dirty.total; j++)
			leech_expect_last(leecher->leech, &leecher->owner, index++, leecher->ranges[i].offset / chunk + j);
}

/*
 * Bytes that do not come beside the list, and are few, are asked for at once, as if a program waited, while the kernel is told: it takes about as
 * long, and where it does who comes first finds them.
 */
void leecher_hurry(struct leecher *leecher)
{
	uint64_t chunk = chunkmap_chunk(leech_map(leecher->leech)), total = 0;

	if (leecher->final.dirty.total <= LEECH_LASTS && !leecher->forgot)
		expect_lasts(leecher, chunk);
	for (unsigned int i = 0; i < leecher->nr_ranges && total <= HURRY_MOST; i++)
		total += leecher->ranges[i].length;
	for (unsigned int i = 0; i < leecher->nr_ranges && total <= HURRY_MOST; i++)
		leech_hurry(leecher->leech, leecher->ranges[i].offset / chunk, leecher->ranges[i].length / chunk);
}

/* ---- DIRTY ---- */

static void dirty_came(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);
	struct wire_dirty_reply reply;
	int n;

	leecher->asking = false;
	if (error == -EINVAL && leecher->state == LEECHER_PULLING && !leecher_leaves(leecher)) {
		/* its helper is another one, and has not tracked */
		leecher_meet(leecher);
		return;
	}
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, link_why(req, error));
		return;
	}
	n = wire_decode(WIRE_S_DIRTY_REPLY, leecher->reply, req->got, &reply);
	if (n >= 0)
		n = leecher_take_list(leecher, &reply, (size_t)n);
	if (n < 0) {
		leecher_fail(leecher, n, "the seeder's list of changed chunks makes no sense");
		return;
	}
	leecher->round = reply.round;
	if (req->reply_flags & WIRE_F_MORE) {
		leecher_ask_dirty(leecher, reply.round, reply.next);
		return;
	}
	chunkmap_set_round(leech_map(leecher->leech), reply.round);
	if (leecher->state == LEECHER_FINALIZING) {
		leecher_own(leecher);
		return;
	}
	leecher_judge(leecher, reply.total);
	leecher->settled = !reply.total;
	leecher_pull(leecher);
	leecher_next(leecher);
}

void leecher_ask_dirty(struct leecher *leecher, uint32_t round, uint64_t from)
{
	struct wire_dirty dirty = { .round = round, .from = from };
	int n = wire_encode(WIRE_S_DIRTY, &dirty, leecher->body, sizeof(leecher->body));

	leecher_send(leecher, WIRE_DIRTY, (uint32_t)n, dirty_came);
}
