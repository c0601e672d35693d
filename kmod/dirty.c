// SPDX-License-Identifier: GPL-2.0
/*
 * Which pages of a large folio are dirty, and when a page last changed at the source.
 *
 * The map stands beside the folios (a block of 512 bits for each aligned 512 pages, in an xarray), so that folios can be split
 * and migrated. Its truth:
 *
 *  - write() and page_mkwrite set a page's bit, under the folio lock, before they dirty the folio. There is no other way
 *    to write through a mapping: what a device wrote through pinned pages passed page_mkwrite once.
 *  - Write-back clears the bits, under the folio lock, after folio_clear_dirty_for_io() has write-protected the mappings.
 *    It leaves them set when the folio has references that it can't account for (pinned by a device?):
 *    such a page may change without another fault.
 *  - A dirty folio without a bit set is dirty whole.
 *
 * So a page in the page cache that somebody may write through a pin of his own has its bit set, or is of a dirty folio that has none: that is
 * where freeze looks for them.
 *
 * So ->dirty_folio need not know which page is meant: bits are a superset of the truth, or absent.
 *
 * @changed of a block, and region->changed_all, are the change sequence at the last change of the source that
 * the kernel knows of. A STORE whose token is older is refused.
 *
 * Blocks are freed only with the region; setting bits needs no lock.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include "region.h"

struct regionfs_dirty {
	u64 changed;
	DECLARE_BITMAP(bits, REGIONFS_BLOCK_PAGES);
};

static struct regionfs_dirty *regionfs_dirty_block(struct regionfs_region *region, pgoff_t index)
{
	return xa_load(&region->dirty, index >> REGIONFS_BLOCK_SHIFT);
}

static int regionfs_dirty_alloc(struct regionfs_region *region, pgoff_t index)
{
	struct regionfs_dirty *block, *old;

	if (likely(regionfs_dirty_block(region, index)))
		return 0;
	block = kzalloc(sizeof(*block), GFP_NOFS);
	if (!block)
		return -ENOMEM;
	old = xa_cmpxchg(&region->dirty, index >> REGIONFS_BLOCK_SHIFT, NULL, block, GFP_NOFS);
	if (!old)
		return 0;
	kfree(block);
	return xa_err(old);
}

/* Makes sure that regionfs_dirty_set() of these pages has where to set; may sleep. -ENOMEM. */
int regionfs_dirty_reserve(struct regionfs_region *region, pgoff_t index, unsigned long nr)
{
	pgoff_t block, last = (index + nr - 1) >> REGIONFS_BLOCK_SHIFT;
	int err = 0;

	for (block = index >> REGIONFS_BLOCK_SHIFT; block <= last && !err; block++)
		err = regionfs_dirty_alloc(region, block << REGIONFS_BLOCK_SHIFT);
	return err;
}

/* Sets bits where there are blocks. */
void regionfs_dirty_set(struct regionfs_region *region, pgoff_t index, unsigned long nr)
{
	pgoff_t end = index + nr;

	for (; index < end; index++) {
		struct regionfs_dirty *block = regionfs_dirty_block(region, index);

		if (block)
			set_bit(index & (REGIONFS_BLOCK_PAGES - 1), block->bits);
	}
}

/* Clears the bits of [@index, @end). */
void regionfs_dirty_clear(struct regionfs_region *region, pgoff_t index, pgoff_t end)
{
	struct regionfs_dirty *block;
	unsigned long id, first, last, bit;

	if (index >= end)
		return;
	xa_for_each_range(&region->dirty, id, block, index >> REGIONFS_BLOCK_SHIFT,
			  (end - 1) >> REGIONFS_BLOCK_SHIFT) {
		first = max(index, id << REGIONFS_BLOCK_SHIFT) & (REGIONFS_BLOCK_PAGES - 1);
		last = min(end - 1, (id << REGIONFS_BLOCK_SHIFT) + REGIONFS_BLOCK_PAGES - 1) & (REGIONFS_BLOCK_PAGES - 1);
		for_each_set_bit_from(first, block->bits, last + 1) {
			bit = first;
			clear_bit(bit, block->bits);
		}
	}
}

/* Is the page's bit set? */
bool regionfs_dirty_test(struct regionfs_region *region, pgoff_t index)
{
	struct regionfs_dirty *block = regionfs_dirty_block(region, index);

	return block && test_bit(index & (REGIONFS_BLOCK_PAGES - 1), block->bits);
}

/* The next page from *@index on whose bit is set, to *@index; false when there is none. May sleep. */
bool regionfs_dirty_next(struct regionfs_region *region, pgoff_t *index)
{
	unsigned long start = *index >> REGIONFS_BLOCK_SHIFT, bit = *index & (REGIONFS_BLOCK_PAGES - 1), id;
	struct regionfs_dirty *block;

	xa_for_each_start(&region->dirty, id, block, start) {
		cond_resched();
		if (id != start)
			bit = 0;
		bit = find_next_bit(block->bits, REGIONFS_BLOCK_PAGES, bit);
		if (bit < REGIONFS_BLOCK_PAGES) {
			*index = (id << REGIONFS_BLOCK_SHIFT) + bit;
			return true;
		}
	}
	return false;
}

/* Is a bit of @folio's set? A folio never crosses a block. */
bool regionfs_dirty_any(struct regionfs_region *region, struct folio *folio)
{
	struct regionfs_dirty *block = regionfs_dirty_block(region, folio->index);
	unsigned long base = folio->index & (REGIONFS_BLOCK_PAGES - 1), end = base + folio_nr_pages(folio);

	return block && find_next_bit(block->bits, end, base) < end;
}

/* Copies @folio's bits to the front of @bits; all of its pages when none is set. */
void regionfs_dirty_copy(struct regionfs_region *region, struct folio *folio, unsigned long *bits)
{
	struct regionfs_dirty *block = regionfs_dirty_block(region, folio->index);
	unsigned long base = folio->index & (REGIONFS_BLOCK_PAGES - 1), pages = folio_nr_pages(folio), i;

	bitmap_zero(bits, REGIONFS_BLOCK_PAGES);
	for (i = 0; block && i < pages; i++)
		if (test_bit(base + i, block->bits))
			__set_bit(i, bits);
	if (bitmap_empty(bits, REGIONFS_BLOCK_PAGES))
		bitmap_set(bits, 0, pages);
}

/* Pages of @folio to be written if it is dirty. */
unsigned long regionfs_dirty_count(struct regionfs_region *region, struct folio *folio)
{
	DECLARE_BITMAP(bits, REGIONFS_BLOCK_PAGES);

	regionfs_dirty_copy(region, folio, bits);
	return bitmap_weight(bits, REGIONFS_BLOCK_PAGES);
}

void regionfs_dirty_destroy(struct regionfs_region *region)
{
	struct regionfs_dirty *block;
	unsigned long id;

	xa_for_each(&region->dirty, id, block)
		kfree(block);
	xa_destroy(&region->dirty);
}

/* Only ever up: two answers may come here in either order. */
static void regionfs_raise(u64 *at, u64 seq)
{
	u64 old = READ_ONCE(*at);

	while (old < seq && !try_cmpxchg(at, &old, seq))
		;
}

/* The source has changed here: a WRITE was acknowledged, or may have been. */
void regionfs_changed(struct regionfs_region *region, u64 pos, u64 len)
{
	u64 seq = atomic64_inc_return(&region->change_seq);
	pgoff_t index = pos >> PAGE_SHIFT, last = (pos + len - 1) >> PAGE_SHIFT;

	for (; index <= last; index = round_down(index, REGIONFS_BLOCK_PAGES) + REGIONFS_BLOCK_PAGES) {
		struct regionfs_dirty *block = regionfs_dirty_block(region, index);

		if (block)
			regionfs_raise(&block->changed, seq);
		else
			regionfs_raise(&region->changed_all, seq);
	}
}

void regionfs_changed_all(struct regionfs_region *region)
{
	regionfs_raise(&region->changed_all, atomic64_inc_return(&region->change_seq));
}

u64 regionfs_change_token(struct regionfs_region *region)
{
	return atomic64_read(&region->change_seq);
}

bool regionfs_changed_since(struct regionfs_region *region, pgoff_t index, u64 token)
{
	struct regionfs_dirty *block = regionfs_dirty_block(region, index);

	return READ_ONCE(region->changed_all) > token || (block && READ_ONCE(block->changed) > token);
}
