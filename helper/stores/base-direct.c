// SPDX-License-Identifier: GPL-2.0
/*
 * base-direct: reads past the page cache, in the thread that has asked, which saves two switches of threads for each. Nobody waits for
 * them: what is given up meanwhile has lost its bits, or it has been counted, and then they don't count. It is counted for each block, since who has a budget gives
 * something up all the time.
 *
 * Chunks that are still to be compared with their checksums are, where all of their bytes are read: so after a start the disk is asked once. Any
 * thread may find that one is right, since the bytes of one that is UNCHECKED don't change before it ceases to be that, and none becomes it again.
 */
#include <errno.h>

#include "stores/base-internal.h"

static struct base_direct *direct_of(struct loop_op *op)
{
	return container_of(op, struct base_direct, op);
}

static uint32_t nr_chunks(const struct base_direct *direct)
{
	return (uint32_t)(chunk_end(direct->offset + direct->length) - direct->offset / BASE_CHUNK);
}

/*
 * Most of what is asked for is not in the page cache, or the kernel had read it itself: so it goes past that, which is half the work, and is not
 * in memory twice then. Not what was changed since the last flush: to read that so would write it first, and after a failed write-back the disk has
 * older bytes.
 */
int base_direct_fd(struct base *base, const void *data, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;

	if (base->direct_fd < 0 || base->no_direct || ((uintptr_t)data | offset | length) % PAGE)
		return -1;
	for (uint64_t chunk = offset / BASE_CHUNK; chunk < chunk_end(end); chunk++)
		if (base_word(base, chunk) & (CHUNK_CHANGED | CHUNK_CHANGED_2))
			return -1;
	return base->direct_fd;
}

/* How often something was given up in the blocks that they lie in: two at most. In one that has no words nothing is present. */
static uint64_t given_up(const struct base_direct *direct)
{
	uint64_t first = direct->offset / BASE_CHUNK, end = first + nr_chunks(direct), sum = 0;

	for (uint64_t chunk = first; chunk < end; chunk = (chunk / BLOCK_CHUNKS + 1) * BLOCK_CHUNKS) {
		struct segment *segment = base_segment(direct->base, chunk);

		if (segment)
			sum += atomic_load(&base_block(segment, chunk)->given_up);
	}
	return sum;
}

/* Are they all there? Notes whether some are to be compared, which takes whole chunks. Marks them used, so that they are not the next to go. */
static bool find(struct base_direct *direct)
{
	struct base *base = direct->base;
	uint64_t end = direct->offset + direct->length;

	for (uint64_t chunk = direct->offset / BASE_CHUNK; chunk < chunk_end(end); chunk++) {
		uint32_t mask = base_pages_of(chunk, direct->offset, end), word = base_word(base, chunk);

		if ((word & mask) != mask)
			return false;
		base_note_used(base, chunk, word);
		if (!(word & CHUNK_UNCHECKED))
			continue;
		direct->compares = true;
		if (mask != PAGES_MASK || nr_chunks(direct) > BASE_DIRECT_CHUNKS)
			return false;
	}
	return true;
}

/* Only one that lies in the read whole was UNCHECKED in find(), and none is since that was not. */
static bool is_right(const struct base_direct *direct, uint64_t chunk, const struct map_entry *entry)
{
	uint64_t at = chunk * BASE_CHUNK;

	if (at < direct->offset || at + BASE_CHUNK > direct->offset + direct->length || entry->pages != PAGES_MASK)
		return false;
	return base_entry_crc(chunk, entry, (const char *)direct->data + (at - direct->offset)) == entry->crc;
}

static bool compare(struct base_direct *direct)
{
	struct base *base = direct->base;
	uint64_t first = direct->offset / BASE_CHUNK;

	for (uint64_t chunk = first; chunk < first + nr_chunks(direct); chunk++) {
		if (!(base_word(base, chunk) & CHUNK_UNCHECKED))
			continue;
		if (!is_right(direct, chunk, (const struct map_entry *)&direct->entry[chunk - first]))
			return false;
		atomic_fetch_and(&base_segment(base, chunk)->word[chunk % SEGMENT_CHUNKS], ~CHUNK_UNCHECKED);
	}
	return true;
}

static void end(struct base_direct *direct, bool good)
{
	direct->done(direct, good ? 0 : -EAGAIN);
}

static void bytes_came(struct loop_op *op, int res)
{
	struct base_direct *direct = direct_of(op);
	struct base *base = direct->base;

	if (res < 0 || (uint32_t)res != direct->length || (direct->compares && !compare(direct)))
		end(direct, false);
	else
		end(direct, base_present(base, direct->offset, direct->length) && given_up(direct) == direct->given_up);
}

static void read_bytes(struct base_direct *direct)
{
	direct->op.done = bytes_came;
	loop_read(loop_current(), &direct->op, direct->base->direct_fd, direct->data, direct->length, direct->offset);
}

static void entries_came(struct loop_op *op, int res)
{
	struct base_direct *direct = direct_of(op);

	if (res < 0 || (size_t)res != nr_chunks(direct) * sizeof(struct map_entry))
		end(direct, false);
	else
		read_bytes(direct);
}

bool base_read_direct(struct base *base, struct base_direct *direct)
{
	direct->base = base;
	direct->compares = false;
	if (base->direct_fd < 0 || !direct->length || base_end(direct->offset, direct->length) != direct->offset + direct->length ||
	    nr_chunks(direct) > BLOCK_CHUNKS)
		return false;
	direct->given_up = given_up(direct);
	if (!find(direct) || base_direct_fd(base, direct->data, direct->offset, direct->length) < 0)
		return false;
	if (!direct->compares) {
		read_bytes(direct);
		return true;
	}
	direct->op.done = entries_came;
	loop_read(loop_current(), &direct->op, base->map_fd, direct->entry, nr_chunks(direct) * sizeof(struct map_entry),
		  entry_at(direct->offset / BASE_CHUNK));
	return true;
}
