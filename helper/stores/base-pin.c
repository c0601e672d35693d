// SPDX-License-Identifier: GPL-2.0
/*
 * base-pin: what is not to be given up. A chunk has as many pins as it has itself and its block has: so a huge range costs by its blocks. Where
 * a part of a block is let go of that is pinned as a whole, its pins become those of its chunks.
 */
#include "stores/base-internal.h"

void base_loosen(struct base *base, struct block *block, int32_t pages)
{
	block->loose += (uint32_t)pages;
	if (!block->pins)
		base->loose += (uint64_t)((int64_t)pages * PAGE);
}

static int32_t pages_of(struct base *base, uint64_t chunk)
{
	return __builtin_popcount(base_word(base, chunk) & PAGES_MASK);
}

bool base_pinned(struct base *base, uint64_t chunk)
{
	struct segment *segment = base_segment(base, chunk);

	return segment && (segment->pins[chunk % SEGMENT_CHUNKS] || base_block(segment, chunk)->pins);
}

static void pin_block(struct base *base, struct block *block)
{
	if (!block->pins++)
		base->loose -= (uint64_t)block->loose * PAGE;
}

static void unpin_block(struct base *base, struct block *block)
{
	if (!--block->pins)
		base->loose += (uint64_t)block->loose * PAGE;
}

static void pin_chunk(struct base *base, struct segment *segment, uint64_t chunk)
{
	if (!segment->pins[chunk % SEGMENT_CHUNKS]++)
		base_loosen(base, base_block(segment, chunk), -pages_of(base, chunk));
}

/* The chunks' pins come first: nothing is loose in between. */
static void push_down(struct base *base, struct segment *segment, uint64_t chunk)
{
	uint64_t first = chunk / BLOCK_CHUNKS * BLOCK_CHUNKS;

	for (uint64_t i = 0; i < BLOCK_CHUNKS; i++)
		pin_chunk(base, segment, first + i);
	unpin_block(base, base_block(segment, chunk));
}

/* What could not be pinned (see base_pin()) has no pins. */
static void unpin_chunk(struct base *base, struct segment *segment, uint64_t chunk)
{
	uint32_t *pins = &segment->pins[chunk % SEGMENT_CHUNKS];

	if (!*pins && base_block(segment, chunk)->pins)
		push_down(base, segment, chunk);
	if (*pins && !--*pins)
		base_loosen(base, base_block(segment, chunk), pages_of(base, chunk));
}

/* Does a whole block begin here? */
static bool is_block(uint64_t chunk, uint64_t last)
{
	return chunk % BLOCK_CHUNKS == 0 && last - chunk >= BLOCK_CHUNKS;
}

void base_pin(struct base *base, uint64_t offset, uint64_t length)
{
	uint64_t chunk = offset / BASE_CHUNK, last = length ? chunk_end(base_end(offset, length)) : 0;

	while (chunk < last) {
		struct segment *segment = base_segment_make(base, chunk);

		if (!segment) {
			/* what can't be counted might be given up: from now on nothing is */
			base->no_evict = true;
			chunk = (chunk / SEGMENT_CHUNKS + 1) * SEGMENT_CHUNKS;
		} else if (is_block(chunk, last)) {
			pin_block(base, base_block(segment, chunk));
			chunk += BLOCK_CHUNKS;
		} else {
			pin_chunk(base, segment, chunk++);
		}
	}
}

void base_let_go(struct base *base, uint64_t offset, uint64_t length)
{
	uint64_t chunk = offset / BASE_CHUNK, last = length ? chunk_end(base_end(offset, length)) : 0;

	while (chunk < last) {
		struct segment *segment = base_segment(base, chunk);

		if (!segment) {
			chunk = (chunk / SEGMENT_CHUNKS + 1) * SEGMENT_CHUNKS;
		} else if (is_block(chunk, last) && base_block(segment, chunk)->pins) {
			unpin_block(base, base_block(segment, chunk));
			chunk += BLOCK_CHUNKS;
		} else {
			unpin_chunk(base, segment, chunk++);
		}
	}
}

void base_unpin(struct base *base, uint64_t offset, uint64_t length)
{
	base_let_go(base, offset, length);
	base_make_room(base, 0);
}
