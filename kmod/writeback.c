// SPDX-License-Identifier: GPL-2.0
/*
 * Write-back: dirty folios become WRITE requests of their dirty ranges.
 *
 * It never waits for the helper: with none attached the folios stay dirty; what is under write-back already is
 * waited for only in data integrity writes, killably, and no longer than the take-back limit, or the caller's deadline.
 */
#include <linux/backing-dev.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/writeback.h>
#include "request.h"

/* A run of bytes of one folio that is to be written. */
struct regionfs_run {
	size_t offset, len;
};

/* Which pages of a folio are to be written, below byte @end, at most @max bytes a run. */
struct regionfs_runs {
	const unsigned long *bits;
	size_t end;
	u32 max;
};

/*
 * After folio_clear_dirty_for_io(), has someone a reference that may write without a fault? We hold one; the page cache one
 * for each page, and each mapping one.
 */
static bool regionfs_folio_held(struct folio *folio)
{
	return folio_maybe_dma_pinned(folio) ||
	       folio_ref_count(folio) > 1 + folio_nr_pages(folio) + regionfs_folio_mapcount(folio);
}

/* The next dirty run from byte @at on; false when there is none. */
static bool regionfs_next_run(const struct regionfs_runs *runs, size_t at, struct regionfs_run *run)
{
	size_t first, next;

	first = find_next_bit(runs->bits, REGIONFS_BLOCK_PAGES, at >> PAGE_SHIFT) << PAGE_SHIFT;
	if (first >= runs->end)
		return false;
	first = max(first, at);
	next = find_next_zero_bit(runs->bits, REGIONFS_BLOCK_PAGES, first >> PAGE_SHIFT) << PAGE_SHIFT;
	run->offset = first;
	run->len = min3(runs->end - first, next - first, (size_t)runs->max);
	return true;
}

static unsigned int regionfs_count_runs(const struct regionfs_runs *runs)
{
	struct regionfs_run run;
	unsigned int n = 0;
	size_t at = 0;

	for (; at < runs->end && regionfs_next_run(runs, at, &run); at = run.offset + run.len)
		n++;
	return n;
}

/* The folio is under write-back and locked; the last of its runs to end drops the reference taken here. */
static void regionfs_write_runs(struct regionfs_builder *b, struct folio *folio, const struct regionfs_runs *runs)
{
	unsigned int n = regionfs_count_runs(runs);
	struct regionfs_part *part = NULL;
	struct regionfs_run run;
	size_t at = 0;

	if (n > 1) {
		regionfs_builder_flush(b);	/* it may hold the last part of the reserve */
		part = mempool_alloc(b->region->inst->parts, GFP_NOFS);
		atomic_set(&part->left, n);
		part->error = 0;
	}
	folio_get(folio);
	for (; n-- && regionfs_next_run(runs, at, &run); at = run.offset + run.len)
		regionfs_builder_add(b, folio, run.offset, run.len, part);
}

/*
 * Locked, dirty flag just cleared; returns with it unlocked. The dirty bits are cleared before the requests can end, since
 * a request that is taken back sets them again.
 */
static void regionfs_write_folio(struct regionfs_builder *b, struct folio *folio)
{
	loff_t size = i_size_read(folio->mapping->host), pos = folio_pos(folio);
	size_t end = pos < size ? min_t(loff_t, size - pos, folio_size(folio)) : 0;
	DECLARE_BITMAP(bits, REGIONFS_BLOCK_PAGES);
	struct regionfs_runs runs = { .bits = bits, .end = end, .max = b->max };

	regionfs_dirty_copy(b->region, folio, bits);
	if (!regionfs_count_runs(&runs)) {
		folio_unlock(folio);	/* beyond the end of the file: a truncate is about to drop it */
		return;
	}
	folio_start_writeback(folio);
	if (!regionfs_folio_held(folio))
		regionfs_dirty_clear(b->region, folio->index, folio_next_index(folio));
	else if (!regionfs_dirty_any(b->region, folio))
		regionfs_dirty_set(b->region, folio->index, folio_nr_pages(folio));
	regionfs_write_runs(b, folio, &runs);
	folio_unlock(folio);
}

/*
 * The flusher, sync(2)'s too, leaves pages alone that the helper has not let go of: it would write them for ever, since
 * they are taken back each time. fsync and freeze try, and wait.
 */
static bool regionfs_write_closed(struct regionfs_region *region, struct folio *folio, struct writeback_control *wbc)
{
	return READ_ONCE(region->nr_shells) && (wbc->sync_mode == WB_SYNC_NONE || wbc->for_sync) &&
	       regionfs_order_closed(region, folio->index, folio_next_index(folio) - 1);
}

/* Until write-back of @folio that is under way has ended. -EINTR; -EBUSY past @deadline (jiffies; 0: none); -ENODEV, then, when the instance ends. */
int regionfs_folio_wait(struct regionfs_region *region, struct folio *folio, unsigned long deadline)
{
	long left;

	if (!deadline)	/* one end is enough: write-back that begins then has what was dirty before */
		return folio_test_writeback(folio) && folio_wait_bit_killable(folio, PG_writeback) ? -EINTR : 0;
	left = wait_event_killable_timeout(region->wait, READ_ONCE(region->inst->dying) ||
					   !folio_test_writeback(folio),	/* see regionfs_request_end() */
					   regionfs_time_left(deadline));
	if (left < 0)
		return -EINTR;
	if (!left)
		return -EBUSY;
	return folio_test_writeback(folio) ? -ENODEV : 0;
}

/*
 * Who has to have @folio written waits for write-back of it that is under way before he locks it, so that nobody waits for the lock for as long as the
 * helper pleases. What the builder holds back is sent before any wait. -EINTR, -EBUSY past the deadline.
 */
static int regionfs_write_lock(struct regionfs_builder *b, struct folio *folio, struct writeback_control *wbc)
{
	int err;

	if (wbc->sync_mode != WB_SYNC_NONE && folio_test_writeback(folio)) {
		regionfs_builder_flush(b);
		err = regionfs_folio_wait(b->region, folio, b->deadline);
		if (err)
			return err;
	}
	if (folio_trylock(folio))
		return 0;
	regionfs_builder_flush(b);	/* whoever holds it may wait for what we hold back */
	return folio_lock_killable(folio) ? -EINTR : 0;
}

/*
 * Locked. False when there is nothing to write, or not now. Where it is under write-back, that began after we were called, with all that was dirty by
 * then; who waits for our end waits for its end, too.
 */
static bool regionfs_write_start(struct regionfs_builder *b, struct address_space *mapping, struct folio *folio,
				 struct writeback_control *wbc)
{
	if (folio->mapping != mapping || !folio_test_dirty(folio) || folio_test_writeback(folio))
		return false;
	if (regionfs_write_closed(b->region, folio, wbc)) {
		wbc->pages_skipped++;
		return false;
	}
	return folio_clear_dirty_for_io(folio);
}

/* -EINTR when a fatal signal is pending, -EBUSY past the deadline. */
static int regionfs_write_batch_folios(struct regionfs_builder *b, struct address_space *mapping,
				       struct writeback_control *wbc, struct folio_batch *batch)
{
	unsigned int i;
	int err;

	for (i = 0; i < folio_batch_count(batch); i++) {
		struct folio *folio = batch->folios[i];

		err = regionfs_write_lock(b, folio, wbc);
		if (err)
			return err;
		if (!regionfs_write_start(b, mapping, folio, wbc)) {
			folio_unlock(folio);
			continue;
		}
		wbc->nr_to_write -= folio_nr_pages(folio);
		regionfs_write_folio(b, folio);
	}
	if (fatal_signal_pending(current))
		return -EINTR;
	return regionfs_past(b->deadline) ? -EBUSY : 0;
}

static int regionfs_write_range(struct regionfs_builder *b, struct address_space *mapping, struct writeback_control *wbc,
				pgoff_t index, pgoff_t end)
{
	xa_mark_t tag = PAGECACHE_TAG_DIRTY;
	struct folio_batch batch;
	int err = 0;

	if (wbc->sync_mode == WB_SYNC_ALL || wbc->tagged_writepages) {
		tag_pages_for_writeback(mapping, index, end);
		tag = PAGECACHE_TAG_TOWRITE;
	}
	folio_batch_init(&batch);
	while (!err && index <= end && filemap_get_folios_tag(mapping, &index, end, tag, &batch)) {
		err = regionfs_write_batch_folios(b, mapping, wbc, &batch);
		folio_batch_release(&batch);
		cond_resched();
		if (wbc->nr_to_write <= 0 && wbc->sync_mode == WB_SYNC_NONE)
			break;
	}
	regionfs_builder_flush(b);
	if (wbc->range_cyclic)
		mapping->writeback_index = wbc->nr_to_write > 0 ? 0 : index;
	return err;
}

/* Background write-back rests while there is no helper, and for a moment after an error. */
static bool regionfs_write_later(struct regionfs_region *region, struct writeback_control *wbc)
{
	unsigned long after = READ_ONCE(region->retry_after);

	if (!READ_ONCE(region->inst->chan) || READ_ONCE(region->closing)) {
		if (wbc->sync_mode == WB_SYNC_ALL)
			atomic64_inc(&region->takeback_seq);	/* the flush found nothing to do since it could not: again */
		return true;
	}
	return wbc->sync_mode == WB_SYNC_NONE && after && time_before(jiffies, after);
}

static int regionfs_write_pages(struct address_space *mapping, struct writeback_control *wbc, unsigned long deadline)
{
	struct regionfs_region *region = regionfs_region_of(mapping->host);
	struct regionfs_builder b = {
		.region = region, .op = REGIONFS_OP_WRITE, .gfp = GFP_NOFS,
		.max = READ_ONCE(region->inst->max_request), .deadline = deadline,
	};

	if (regionfs_write_later(region, wbc)) {
		wbc->pages_skipped++;	/* the inode is queued for later, not again at once */
		return 0;
	}
	WRITE_ONCE(region->retry_after, 0);
	if (wbc->range_cyclic)
		return regionfs_write_range(&b, mapping, wbc, mapping->writeback_index, ULONG_MAX);
	return regionfs_write_range(&b, mapping, wbc, wbc->range_start >> PAGE_SHIFT, wbc->range_end >> PAGE_SHIFT);
}

int regionfs_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	return regionfs_write_pages(mapping, wbc, 0);
}

/*
 * As filemap_fdatawrite_range(), of @start to @end (inclusive), until @deadline (jiffies). It does not count for the estimate of how fast the device is,
 * so it is not for fsync. -EINTR, and -EBUSY past the deadline: some of it is dirty yet.
 */
int regionfs_write_until(struct address_space *mapping, loff_t start, loff_t end, unsigned long deadline)
{
	struct writeback_control wbc = {
		.sync_mode = WB_SYNC_ALL, .nr_to_write = LONG_MAX, .range_start = start, .range_end = end,
	};

	if (!mapping_tagged(mapping, PAGECACHE_TAG_DIRTY))
		return 0;
	return regionfs_write_pages(mapping, &wbc, deadline);
}

/* At least so many bytes wait to be written: dirty pages and those under write-back. */
u64 regionfs_dirty_bytes(struct regionfs_region *region)
{
	struct inode *inode = regionfs_region_inode(region);
	struct folio_batch batch;
	pgoff_t index = 0;
	unsigned int i;
	u64 pages = 0;

	if (!inode)
		return 0;
	folio_batch_init(&batch);
	while (filemap_get_folios_tag(inode->i_mapping, &index, ULONG_MAX, PAGECACHE_TAG_DIRTY, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++)
			pages += regionfs_dirty_count(region, batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	index = 0;
	while (filemap_get_folios_tag(inode->i_mapping, &index, ULONG_MAX, PAGECACHE_TAG_WRITEBACK, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++)
			pages += folio_test_dirty(batch.folios[i]) ? 0 : folio_nr_pages(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	regionfs_region_iput(region, inode);
	return pages << PAGE_SHIFT;
}
