// SPDX-License-Identifier: GPL-2.0
/*
 * Taking bytes away: truncate, punch, invalidate, and dropping all when a region has moved.
 *
 * Each first closes the region (new requests with folios are sent away) and detaches what is outstanding in the
 * range, so that no folio there is locked or under write-back for the helper's sake; then it takes the invalidate_lock and drops.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include "request.h"
#include "trace.h"

/* So many truncates and punches may wait for a helper; fallocate then waits, truncate goes on. */
#define REGIONFS_META_MAX 1024

/* jiffies: for so long at most are writers kept out in one go, to drop what they write. */
#define REGIONFS_BAR_MAX (8ul * HZ)

/* No folio reaches over its bounds. */
#define REGIONFS_PIECE	SZ_1M

static void regionfs_close_new(struct regionfs_region *region)
{
	spin_lock(&region->inst->lock);
	region->closing++;
	spin_unlock(&region->inst->lock);
}

static void regionfs_close(struct regionfs_region *region, u64 start, u64 end)
{
	regionfs_close_new(region);
	regionfs_detach_range(region, start, end);
}

/* Where the folio that has @at begins, or with @end where it ends; @at where there is none. */
static u64 regionfs_edge_of(struct address_space *mapping, u64 at, bool end)
{
	struct folio *folio = regionfs_get_cached_folio(mapping, at >> PAGE_SHIFT);
	u64 edge;

	if (!folio)
		return at;
	edge = folio_pos(folio) + (end ? folio_size(folio) : 0);
	folio_put(folio);
	return edge;
}

/*
 * For a range that is about to be dropped: a folio at its edge may be under write-back for what it has beside it, and is waited for as a whole. Once the
 * region is closed none gets there that wasn't: so these are looked for after that.
 */
static void regionfs_close_edges(struct regionfs_region *region, struct inode *inode, u64 start, u64 end)
{
	regionfs_close_new(region);
	start = regionfs_edge_of(inode->i_mapping, start, false);
	if (end && end <= LLONG_MAX)
		end = max(end, regionfs_edge_of(inode->i_mapping, end - 1, true));
	regionfs_detach_range(region, start, end);
}

static void regionfs_reopen(struct regionfs_region *region)
{
	bool last;

	spin_lock(&region->inst->lock);
	last = !--region->closing;
	spin_unlock(&region->inst->lock);
	if (last)
		wake_up_all(&region->inst->wait);
}

/* inst->lock held. The youngest RESIZE that has not been sent can take another one's place. */
static bool regionfs_resize_merge(struct regionfs_region *region, u64 size)
{
	struct regionfs_request *req;

	if (list_empty(&region->ordered))
		return false;
	req = list_last_entry(&region->ordered, struct regionfs_request, in_region);
	if (req->op != REGIONFS_OP_RESIZE || (req->state != REGIONFS_S_BLOCKED && req->state != REGIONFS_S_QUEUED))
		return false;
	if (size < req->arg)
		return false;	/* it would reach further down than its place in the order */
	req->len = size;
	return true;
}

static int regionfs_send_resize(struct regionfs_region *region, u64 old, u64 size)
{
	bool merged;

	spin_lock(&region->inst->lock);
	merged = regionfs_resize_merge(region, size);
	spin_unlock(&region->inst->lock);
	return merged ? 0 : regionfs_request_meta(region, REGIONFS_OP_RESIZE, min(old, size), size, min(old, size));
}

/* Inode lock held. What the source may have past @size, where the file ends, goes, after all WRITEs sent so far. -ENOMEM. */
int regionfs_cut_source(struct regionfs_region *region, loff_t size)
{
	return regionfs_send_resize(region, size, size);
}

/* Does the folio at @index, an edge of the pages [@first, @end), reach out of them? Counted. */
static struct folio *regionfs_get_edge(struct address_space *mapping, pgoff_t index, pgoff_t first, pgoff_t end)
{
	struct folio *folio = regionfs_get_cached_folio(mapping, index);

	if (!folio)
		return NULL;
	if (folio->index < first || folio_next_index(folio) > end)
		return folio;
	folio_put(folio);
	return NULL;
}

/*
 * Before the pages [@first, @end) are cut out. A folio at their edge that is pinned can't be split: dirty, it stays in the page cache whole; clean, as
 * write-back leaves it, it would be dropped whole, with what is being written beside the cut through the pin. So it is made dirty. Without a dirty bit
 * nobody has it pinned to write.
 */
static void regionfs_keep_edge(struct regionfs_region *region, struct address_space *mapping, pgoff_t index, pgoff_t first, pgoff_t end)
{
	struct folio *folio = regionfs_get_edge(mapping, index, first, end);

	if (!folio)
		return;
	folio_lock(folio);
	if (folio->mapping == mapping && folio_maybe_dma_pinned(folio) && regionfs_dirty_any(region, folio))
		folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
}

/* After the cut: one that is still there whole may be written by who has it pinned, or has been, in pages whose bits were cleared. */
static void regionfs_mark_edge(struct regionfs_region *region, struct address_space *mapping, pgoff_t index, pgoff_t first, pgoff_t end)
{
	struct folio *folio = regionfs_get_edge(mapping, index, first, end);

	if (!folio)
		return;
	if (folio_test_dirty(folio) || regionfs_dirty_any(region, folio))
		regionfs_dirty_set(region, folio->index, folio_nr_pages(folio));
	folio_put(folio);
}

/* Inode lock and invalidate_lock held, region closed from the lower of both sizes on. */
static void regionfs_take_size(struct regionfs_region *region, struct inode *inode, loff_t size)
{
	pgoff_t first = DIV_ROUND_UP(size, PAGE_SIZE);

	atomic64_add(size - i_size_read(inode), &region->inst->bytes);
	regionfs_keep_edge(region, inode->i_mapping, size >> PAGE_SHIFT, first, ULONG_MAX);
	truncate_setsize(inode, size);
	regionfs_dirty_clear(region, first, ULONG_MAX);
	regionfs_mark_edge(region, inode->i_mapping, size >> PAGE_SHIFT, first, ULONG_MAX);
	regionfs_changed_all(region);
}

/* Inode lock held. Never waits for the helper. -ENOMEM, -EINTR: nothing was changed. */
int regionfs_truncate(struct inode *inode, loff_t size)
{
	struct regionfs_region *region = regionfs_region_of(inode);
	struct address_space *mapping = inode->i_mapping;
	loff_t old = i_size_read(inode), low = min(old, size);
	int err;

	if (size < old)
		regionfs_close_edges(region, inode, round_down(low, PAGE_SIZE), U64_MAX);
	else
		regionfs_close(region, round_down(low, PAGE_SIZE), U64_MAX);
	filemap_invalidate_lock(mapping);
	err = size > old ? regionfs_zero_tail(inode, old) : 0;
	if (!err)
		err = regionfs_send_resize(region, old, size);
	if (!err)
		regionfs_take_size(region, inode, size);
	filemap_invalidate_unlock(mapping);
	regionfs_reopen(region);
	if (!err)
		regionfs_event(region->inst, region, REGIONFS_EVENT_RESIZED);
	return err;
}

/*
 * The source has grown, and may have bytes where the cached last page has zeroes: the page goes. -EBUSY when it is dirty, since
 * written whole it would lay its zeroes over them.
 */
static int regionfs_drop_tail(struct inode *inode, loff_t old)
{
	pgoff_t last = old >> PAGE_SHIFT;

	return offset_in_page(old) ? invalidate_inode_pages2_range(inode->i_mapping, last, last) : 0;
}

/* Inode lock held, so that no other one comes. Is a RESIZE not answered yet? */
static bool regionfs_resize_pending(struct regionfs_region *region)
{
	struct regionfs_request *req;
	bool pending = false;

	spin_lock(&region->inst->lock);
	if (region->nr_meta) {
		list_for_each_entry(req, &region->ordered, in_region)
			pending |= req->op == REGIONFS_OP_RESIZE;
	}
	spin_unlock(&region->inst->lock);
	return pending;
}

/*
 * The source has this size already: the file takes it, and no RESIZE is sent. -EBUSY: what lies at its end is dirty, or a program has set another
 * size, which the source is about to hear.
 */
int regionfs_set_size(struct regionfs_region *region, struct inode *inode, loff_t size)
{
	struct address_space *mapping = inode->i_mapping;
	int err = 0;
	loff_t old;

	inode_lock(inode);
	old = i_size_read(inode);
	regionfs_close_edges(region, inode, round_down(min(size, old), PAGE_SIZE), U64_MAX);
	filemap_invalidate_lock(mapping);
	if (regionfs_resize_pending(region))
		err = -EBUSY;
	else if (size > old)
		err = regionfs_drop_tail(inode, old);
	if (!err)
		regionfs_take_size(region, inode, size);
	filemap_invalidate_unlock(mapping);
	regionfs_reopen(region);
	inode_unlock(inode);
	return err;
}

/*
 * Inode and invalidate lock held, and closed there, so that write-back of it ends soon: its WRITE is refused, or taken back, or answered. Where that
 * has not been done the bit is there again when it ends.
 */
static bool regionfs_page_is_dirty(struct regionfs_region *region, struct address_space *mapping, pgoff_t index)
{
	bool dirty = false, again = true;
	struct folio *folio;

	while (again) {
		folio = regionfs_get_cached_folio(mapping, index);
		if (!folio)
			return false;
		folio_lock(folio);
		folio_wait_writeback(folio);
		again = folio->mapping != mapping || !folio_contains(folio, index);
		dirty = folio_test_dirty(folio) && regionfs_dirty_test(region, index);
		folio_unlock(folio);
		folio_put(folio);
	}
	return dirty;
}

/*
 * Inode lock held. A file that was written longer is as long at the source once its last page has been written back. A punch takes that
 * page away, and says how long the file is in its place. Where that page is not dirty the source is as long already, or longer by now: somebody
 * else may have written there.
 */
static int regionfs_punch_size(struct regionfs_region *region, struct inode *inode, loff_t end)
{
	loff_t size = i_size_read(inode);

	if (end < size || regionfs_region_test(region, REGIONFS_R_FIXED_SIZE))
		return 0;
	if (!regionfs_page_is_dirty(region, inode->i_mapping, (size - 1) >> PAGE_SHIFT))
		return 0;
	return regionfs_send_resize(region, size, size);
}

/* Inode lock held; whole pages, of which the last may reach over the end of the file. */
static int regionfs_punch_pages(struct inode *inode, loff_t start, loff_t end)
{
	struct regionfs_region *region = regionfs_region_of(inode);
	pgoff_t first = start >> PAGE_SHIFT, next = end >> PAGE_SHIFT;
	int err;

	if (start >= end || start >= i_size_read(inode))
		return 0;
	regionfs_close_edges(region, inode, start, end);
	filemap_invalidate_lock(inode->i_mapping);
	err = regionfs_punch_size(region, inode, end);
	if (!err)
		err = regionfs_request_meta(region, REGIONFS_OP_DISCARD, start, min_t(loff_t, end, i_size_read(inode)) - start, 0);
	if (!err) {
		regionfs_keep_edge(region, inode->i_mapping, first, first, next);
		regionfs_keep_edge(region, inode->i_mapping, next - 1, first, next);
		/* before the cut: a store into what is left of a folio that could not be split sets a bit again, which has to stay */
		regionfs_dirty_clear(region, first, next);
		truncate_pagecache_range(inode, start, end - 1);
		regionfs_mark_edge(region, inode->i_mapping, first, first, next);
		regionfs_mark_edge(region, inode->i_mapping, next - 1, first, next);
		regionfs_changed_all(region);
	}
	filemap_invalidate_unlock(inode->i_mapping);
	regionfs_reopen(region);
	return err;
}

/* The parts of pages at both ends are written as zeroes, which may wait; done before the inode lock is taken. */
static int regionfs_punch_edges(struct file *file, loff_t start, loff_t end)
{
	loff_t first = min_t(loff_t, round_up(start, PAGE_SIZE), end);
	loff_t last = max_t(loff_t, round_down(end, PAGE_SIZE), first);

	return regionfs_zero_bytes(file, start, first) ?: regionfs_zero_bytes(file, last, end);
}

static bool regionfs_meta_room(struct regionfs_region *region)
{
	return READ_ONCE(region->nr_meta) < REGIONFS_META_MAX;
}

/* Inode lock taken killably, counted in as a writer. */
static int regionfs_fallocate_begin(struct inode *inode, struct regionfs_region *region)
{
	int err;

	for (;;) {
		err = regionfs_region_wait(region, REGIONFS_WANT_WRITE, TASK_INTERRUPTIBLE);
		if (err)
			return err;
		err = down_write_killable(&inode->i_rwsem);
		if (err)
			return err;
		err = regionfs_region_enter(region, REGIONFS_WANT_WRITE);
		if (!err)
			return 0;
		inode_unlock(inode);
		if (err != -EAGAIN)
			return err;
	}
}

static bool regionfs_fallocate_zeroes(int mode)
{
	return mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
}

static int regionfs_fallocate_locked(struct file *file, int mode, loff_t start, loff_t end)
{
	struct inode *inode = file_inode(file);
	loff_t size = i_size_read(inode);
	int err = file_modified(file);

	if (!err && regionfs_fallocate_zeroes(mode) && start < size)
		err = regionfs_punch_pages(inode, round_up(start, PAGE_SIZE),
					   end >= size ? round_up(size, PAGE_SIZE) : round_down(end, PAGE_SIZE));
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && end > size) {
		err = inode_newsize_ok(inode, end);
		if (!err && regionfs_region_test(regionfs_region_of(inode), REGIONFS_R_FIXED_SIZE))
			err = -EPERM;
		if (!err)
			err = regionfs_truncate(inode, end);
	}
	return err;
}

/* The edges were zeroed as far as a file of @size has them. Has one that it has by now, of @now bytes, not been? */
static bool regionfs_edges_missed(int mode, loff_t offset, loff_t end, loff_t size, loff_t now)
{
	if (!regionfs_fallocate_zeroes(mode) || now <= size)
		return false;
	return (offset_in_page(offset) && size < round_up(offset, PAGE_SIZE)) || (offset_in_page(end) && size < end && end < now);
}

/* Inode lock taken, counted in as a writer; what is to be zero of pages at both ends is. A file that grows gets there at last. */
static int regionfs_fallocate_enter(struct file *file, int mode, loff_t offset, loff_t end)
{
	struct inode *inode = file_inode(file);
	struct regionfs_region *region = regionfs_region_of(inode);
	loff_t size;
	int err;

	for (;;) {
		size = i_size_read(inode);
		err = regionfs_fallocate_zeroes(mode) && offset < size ? regionfs_punch_edges(file, offset, min(end, size)) : 0;
		if (!err)
			err = regionfs_fallocate_begin(inode, region);
		if (err || !regionfs_edges_missed(mode, offset, end, size, i_size_read(inode)))
			return err;
		regionfs_region_exit(region, REGIONFS_WANT_WRITE);
		inode_unlock(inode);
	}
}

/* Room is not set aside: mode 0 only lets the file grow. */
long regionfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct regionfs_region *region = regionfs_region_of(inode);
	loff_t end = offset + len;
	int err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (regionfs_region_is_helper(region))
		return -EDEADLK;
	if (wait_event_killable(region->wait, regionfs_meta_room(region)))
		return -EINTR;
	err = regionfs_fallocate_enter(file, mode, offset, end);
	if (err)
		return err;
	err = regionfs_fallocate_locked(file, mode, offset, end);
	regionfs_region_exit(region, REGIONFS_WANT_WRITE);
	inode_unlock(inode);
	return err;
}

/* Locked. Forgets what is dirty of a folio within the range; the rest of it stays dirty, if it is. */
static void regionfs_discard_in(struct regionfs_region *region, struct folio *folio, pgoff_t first, pgoff_t last)
{
	unmap_mapping_range(folio->mapping, folio_pos(folio), folio_size(folio), 0);	/* what was stored has its bit now */
	regionfs_dirty_clear(region, max(folio->index, first), min(folio_next_index(folio) - 1, last) + 1);
	if (!regionfs_dirty_any(region, folio))
		folio_cancel_dirty(folio);
}

/*
 * The folio at @index leaves the page cache whole when it reaches out of the range: cut, it would keep zeroes where the
 * source has bytes. -EBUSY: what is dirty of it out of the range has to be written first.
 */
static int regionfs_discard_edge(struct regionfs_region *region, struct address_space *mapping, pgoff_t index,
				 pgoff_t first, pgoff_t last)
{
	struct folio *folio = regionfs_get_cached_folio(mapping, index);
	pgoff_t from, to;
	int err;

	if (!folio)
		return 0;
	err = folio_lock_killable(folio);
	if (err)
		goto put;
	from = folio->index;
	to = folio_next_index(folio) - 1;
	if (folio->mapping != mapping) {
		err = -EBUSY;
	} else if (from < first || to > last) {
		err = folio_wait_writeback_killable(folio);
		if (!err)
			regionfs_discard_in(region, folio, first, last);
	}
	folio_unlock(folio);
put:
	folio_put(folio);
	if (err || (from >= first && to <= last))
		return err;
	return invalidate_inode_pages2_range(mapping, from, to);
}

/* Drops the range, dirty or not; -EBUSY as above. */
static int regionfs_discard_closed(struct regionfs_region *region, struct inode *inode, pgoff_t first, pgoff_t last)
{
	int err = regionfs_discard_edge(region, inode->i_mapping, first, first, last);

	if (!err && last != ULONG_MAX)
		err = regionfs_discard_edge(region, inode->i_mapping, last, first, last);
	if (err)
		return err;
	truncate_pagecache_range(inode, (loff_t)first << PAGE_SHIFT,
				 last == ULONG_MAX ? -1 : ((loff_t)(last + 1) << PAGE_SHIFT) - 1);
	regionfs_dirty_clear(region, first, last == ULONG_MAX ? ULONG_MAX : last + 1);
	return 0;
}

/* What was read of the range before is old. By blocks while they are few: a direct write drops what it writes, and others read and STORE beside it. */
static void regionfs_invalidated(struct regionfs_region *region, loff_t start, loff_t end)
{
	if (end - start > SZ_1G)
		regionfs_changed_all(region);
	else
		regionfs_changed(region, start, end - start);
}

/* Region closed: folios of the range are locked by nobody for long. A writer makes no folio while we discard. */
static int regionfs_invalidate_closed(struct regionfs_region *region, struct inode *inode, loff_t start, loff_t end,
				      bool discard)
{
	pgoff_t first = start >> PAGE_SHIFT, last = end == LLONG_MAX ? ULONG_MAX : (end - 1) >> PAGE_SHIFT;
	int err = discard ? down_write_killable(&inode->i_rwsem) : 0;

	if (err)
		return err;
	filemap_invalidate_lock(inode->i_mapping);
	if (discard)
		err = regionfs_discard_closed(region, inode, first, last);
	else
		err = invalidate_inode_pages2_range(inode->i_mapping, first, last);
	regionfs_invalidated(region, start, end);
	filemap_invalidate_unlock(inode->i_mapping);
	if (discard)
		inode_unlock(inode);
	return err;
}

/* What has to be written before the range can be dropped: all of it, or with @discard what its first and last folio have beside it. */
static int regionfs_invalidate_write(struct regionfs_region *region, loff_t start, loff_t end, bool discard,
				     unsigned long deadline)
{
	int err;

	if (!discard)
		return regionfs_write_out(region, start, end == LLONG_MAX ? end : end - 1, deadline);
	err = regionfs_write_out(region, start, start, deadline);
	if (!err && end != LLONG_MAX)
		err = regionfs_write_out(region, end - 1, end - 1, deadline);
	return err;
}

/*
 * Drops [@start, @end) from the page cache, after writing what is dirty there, or with @discard, what is dirty too.
 * -EBUSY: a page was dirtied or is held meanwhile; past @deadline.
 */
int regionfs_invalidate(struct regionfs_region *region, loff_t start, loff_t end, bool discard, unsigned long deadline)
{
	struct inode *inode = regionfs_region_inode(region);
	int err = 0;

	if (!inode)
		return -ENOENT;
	if (start < 0 || start >= end) {
		regionfs_region_iput(region, inode);
		return -EINVAL;
	}
	if (!discard)
		err = regionfs_invalidate_write(region, start, end, discard, deadline);
	while (!err) {
		regionfs_close_edges(region, inode, start, end);
		err = regionfs_invalidate_closed(region, inode, start, end, discard);
		regionfs_reopen(region);
		if (err != -EBUSY || time_after_eq(jiffies, deadline))
			break;
		if (schedule_timeout_killable(1) && fatal_signal_pending(current))	/* a reference that goes tells nobody */
			break;
		err = regionfs_invalidate_write(region, start, end, discard, deadline);
	}
	regionfs_region_iput(region, inode);
	return err;
}

/* @ticks from now, but not past @deadline. */
static unsigned long regionfs_sooner(unsigned long ticks, unsigned long deadline)
{
	unsigned long then = regionfs_deadline(ticks);

	return time_before(then, deadline) ? then : deadline;
}

/* Where what is cached of [@start, @end) begins; @end: nowhere. */
static loff_t regionfs_next_cached(struct address_space *mapping, loff_t start, loff_t end)
{
	unsigned long index = start >> PAGE_SHIFT;

	if (!xa_find(&mapping->i_pages, &index, (end - 1) >> PAGE_SHIFT, XA_PRESENT))
		return end;
	return max_t(loff_t, start, (loff_t)index << PAGE_SHIFT);
}

/* As regionfs_invalidate() of [*@start, @end), piece by piece: what was done once need not be done again when *@start is not reset. */
static int regionfs_invalidate_pieces(struct regionfs_region *region, loff_t *start, loff_t end, unsigned long deadline)
{
	struct inode *inode = regionfs_region_inode(region);
	loff_t next;
	int err = 0;

	if (!inode)
		return -ENOENT;
	while (!err) {
		*start = regionfs_next_cached(inode->i_mapping, *start, end);
		if (*start >= end)
			break;
		next = end - *start > REGIONFS_PIECE ? round_up(*start + 1, REGIONFS_PIECE) : end;
		err = regionfs_invalidate(region, *start, next, false, deadline);
		if (!err)
			*start = next;
	}
	regionfs_region_iput(region, inode);
	return err;
}

/* One try, with writers kept out; those within are waited for, but who stays (a direct write) need not be in the way. */
static int regionfs_invalidate_barred(struct regionfs_region *region, loff_t *start, loff_t end, unsigned long turn, unsigned long deadline)
{
	unsigned long half = regionfs_sooner(turn / 2, deadline), whole = regionfs_sooner(turn, deadline);
	int err = regionfs_region_bar(region, half);

	if (!err || err == -EBUSY)
		err = regionfs_invalidate_pieces(region, start, end, whole);
	regionfs_region_admit(region);
	return err;
}

/* What was read of the range until now is old, though it will not be dropped in one go. */
static void regionfs_invalidate_begin(struct regionfs_region *region, loff_t start, loff_t end)
{
	struct inode *inode = regionfs_region_inode(region);

	if (!inode)
		return;
	regionfs_close_edges(region, inode, start, end);
	filemap_invalidate_lock(inode->i_mapping);	/* whose STORE was looked at before has its folio in the page cache */
	regionfs_invalidated(region, start, end);
	filemap_invalidate_unlock(inode->i_mapping);
	regionfs_reopen(region);
	regionfs_region_iput(region, inode);
}

/*
 * As regionfs_invalidate(), but it gets done, too, where programs write all the time: they are kept out for a turn, and for longer the next time, since
 * they would stand still for the source's, or the helper's, sake; not at all where nothing was answered in the turn before, which they had for themselves.
 * For one who holds no lock and is not counted in.
 */
int regionfs_invalidate_written(struct regionfs_region *region, loff_t start, loff_t end, bool discard, unsigned long deadline)
{
	unsigned long turn = HZ / 10;
	s64 answered;
	int err;

	if (discard)
		return regionfs_invalidate(region, start, end, true, deadline);
	err = regionfs_invalidate(region, start, end, false, regionfs_sooner(turn, deadline));
	if (err != -EBUSY)
		return err;
	regionfs_invalidate_begin(region, start, end);
	while (err == -EBUSY && !regionfs_past(deadline) && !fatal_signal_pending(current)) {
		answered = atomic64_read(&region->answered);
		err = regionfs_invalidate_pieces(region, &start, end, regionfs_sooner(turn, deadline));
		if (err != -EBUSY || atomic64_read(&region->answered) == answered)
			continue;
		err = regionfs_invalidate_barred(region, &start, end, turn, deadline);
		turn = min(2 * turn, REGIONFS_BAR_MAX);
	}
	return err;
}

/* Drops every page, dirty or not; returns the dirty bytes that were lost. The region is MOVED, or is going away. */
u64 regionfs_drop_all(struct regionfs_region *region)
{
	struct inode *inode = regionfs_region_inode(region);
	u64 lost;

	if (!inode)
		return 0;
	regionfs_close(region, 0, U64_MAX);
	lost = regionfs_dirty_bytes(region);
	filemap_invalidate_lock(inode->i_mapping);
	unmap_mapping_range(inode->i_mapping, 0, 0, 1);
	truncate_inode_pages(inode->i_mapping, 0);
	filemap_invalidate_unlock(inode->i_mapping);
	regionfs_dirty_clear(region, 0, ULONG_MAX);
	regionfs_changed_all(region);
	regionfs_reopen(region);
	regionfs_region_iput(region, inode);
	return lost;
}
