// SPDX-License-Identifier: GPL-2.0
/*
 * fsync and its kin: write what is dirty, wait until the helper has answered, then SYNC.
 *
 * The end of write-back proves nothing, because a request may have been taken back; so a flush waits for the region's own
 * requests, and begins again when one of them left its bytes dirty.
 */
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/writeback.h>
#include <linux/sched/signal.h>
#include "request.h"

/* Is there an unanswered WRITE, DISCARD or RESIZE in these pages with an id up to @last, that still counts? */
static bool regionfs_unanswered(struct regionfs_region *region, pgoff_t first, pgoff_t end, u64 last)
{
	struct regionfs_request *req;
	bool found = false;

	spin_lock(&region->inst->lock);
	list_for_each_entry(req, &region->ordered, in_region) {
		if (req->id > last)
			break;
		if (!req->detached && req->rb_first <= end && req->rb_last >= first) {
			found = true;
			break;
		}
	}
	spin_unlock(&region->inst->lock);
	return found;
}

static int regionfs_wait_answers(struct regionfs_region *region, loff_t start, loff_t end, unsigned long deadline)
{
	u64 last;
	long left;

	spin_lock(&region->inst->lock);
	last = region->inst->last_request;
	spin_unlock(&region->inst->lock);
	left = wait_event_killable_timeout(region->wait, READ_ONCE(region->inst->dying) ||
					   !regionfs_unanswered(region, start >> PAGE_SHIFT, end >> PAGE_SHIFT, last),
					   regionfs_time_left(deadline));
	if (left < 0)
		return -EINTR;
	if (READ_ONCE(region->inst->dying))
		return -ENODEV;
	return left ? 0 : -EBUSY;
}

/*
 * Until there is a helper. The region's own time-out, if it has one, is an error of this access where there is no @deadline (jiffies; 0: none), past
 * which it is -EBUSY. -EINTR, -ENODEV.
 */
static int regionfs_wait_helper(struct regionfs_region *region, unsigned long deadline)
{
	struct regionfs_instance *inst = region->inst;
	long left;

	if (!deadline)
		return regionfs_region_wait(region, REGIONFS_WANT_HELPER | REGIONFS_WANT_INTERNAL, TASK_KILLABLE);
	left = wait_event_killable_timeout(inst->wait, (READ_ONCE(inst->chan) && !READ_ONCE(region->closing)) ||
					   READ_ONCE(inst->dying), regionfs_time_left(deadline));
	if (left < 0)
		return -EINTR;
	if (READ_ONCE(inst->dying))
		return -ENODEV;
	return left ? 0 : -EBUSY;
}

static u64 regionfs_takebacks(struct regionfs_region *region)
{
	return atomic64_read(&region->takeback_seq);
}

static bool regionfs_mapping_busy(struct regionfs_region *region, struct address_space *mapping)
{
	return mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) || mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK) ||
	       !list_empty_careful(&region->ordered);
}

/*
 * Someone else's write-back may have folios in hand that it has cleaned and not sent yet: no request tells of them, only their
 * write-back flag. Killable, and no longer than the take-back limit for each, nor past @deadline.
 */
static int regionfs_wait_unsent(struct regionfs_region *region, struct address_space *mapping, pgoff_t index, pgoff_t end,
				unsigned long deadline)
{
	struct folio_batch batch;
	unsigned int i;
	int err = 0;

	folio_batch_init(&batch);
	while (!err && index <= end &&
	       filemap_get_folios_tag(mapping, &index, end, PAGECACHE_TAG_WRITEBACK, &batch)) {
		for (i = 0; i < folio_batch_count(&batch) && !err; i++)
			err = regionfs_folio_wait(region, batch.folios[i], deadline);
		folio_batch_release(&batch);
		if (index == ULONG_MAX)
			break;
	}
	return err;
}

static int regionfs_flush_once(struct regionfs_region *region, struct address_space *mapping, loff_t start, loff_t end,
			       unsigned long deadline)
{
	int err;

	if (regionfs_mapping_busy(region, mapping)) {
		err = regionfs_wait_helper(region, deadline);
		if (err)
			return err;
	}
	err = deadline ? regionfs_write_until(mapping, start, end, deadline) : filemap_fdatawrite_range(mapping, start, end);
	if (!err)
		err = regionfs_wait_unsent(region, mapping, start >> PAGE_SHIFT, end >> PAGE_SHIFT, deadline);
	if (err)
		return err;
	return regionfs_wait_answers(region, start, end, deadline);
}

/*
 * Writes what is dirty in [@start, @end] (inclusive, as the page cache counts) and waits until the helper has answered all
 * of it, killably, until @deadline (jiffies; 0: none). 0 says that it was answered, not that it went well: an error is
 * in the mapping's errseq. -EINTR, -EBUSY past the deadline, -EIO past the region's time-out.
 */
int regionfs_flush(struct regionfs_region *region, loff_t start, loff_t end, unsigned long deadline)
{
	struct inode *inode = regionfs_region_inode(region);
	u64 seq;
	int err;

	if (!inode)
		return -ENOENT;
	do {
		seq = regionfs_takebacks(region);
		err = regionfs_flush_once(region, inode->i_mapping, start, end, deadline);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		if (!err && seq != regionfs_takebacks(region) && regionfs_region_test(region, REGIONFS_R_MOVED))
			err = -ESTALE;	/* nobody takes its bytes any more */
		if (!err && seq != regionfs_takebacks(region) && regionfs_past(deadline))
			err = -EBUSY;
	} while (!err && seq != regionfs_takebacks(region));
	regionfs_region_iput(region, inode);
	return err;
}

/* Not "nothing was answered since some SYNC was sent": that one may be unanswered yet. */
static bool regionfs_unsynced(struct regionfs_region *region)
{
	return atomic64_read(&region->synced) != atomic64_read(&region->answered);
}

/* Only ever up: two SYNCs may be answered in either order. */
static void regionfs_synced(struct regionfs_region *region, s64 answered)
{
	s64 old = atomic64_read(&region->synced);

	while (old < answered && !atomic64_try_cmpxchg(&region->synced, &old, answered))
		;
}

/* When an access that begins now has waited for long enough; 0: never. */
static unsigned long regionfs_timeout(struct regionfs_region *region)
{
	u32 ms = READ_ONCE(region->timeout_ms);

	return ms ? regionfs_deadline(msecs_to_jiffies(ms)) : 0;
}

/* What was answered before is durable when this returns 0. */
static int regionfs_send_sync(struct regionfs_region *region, unsigned long deadline)
{
	s64 answered = atomic64_read(&region->answered);
	struct regionfs_request *req;
	int err = regionfs_wait_helper(region, deadline);

	if (err)
		return err;
	req = regionfs_request_alloc(region, REGIONFS_OP_SYNC, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	regionfs_request_get(req);
	regionfs_request_submit(req);
	err = regionfs_request_wait_until(req, deadline ?: regionfs_timeout(region));
	if (err == -EBUSY && !deadline)
		err = -EIO;		/* past the region's own time-out, as with every other access */
	if (err)
		regionfs_request_abandon(req);
	else
		regionfs_synced(region, answered);
	regionfs_request_put(req);
	return err;
}

/* As regionfs_flush(), and an error that any write of the region meets meanwhile is returned. */
int regionfs_write_out(struct regionfs_region *region, loff_t start, loff_t end, unsigned long deadline)
{
	struct inode *inode = regionfs_region_inode(region);
	errseq_t since = 0;
	int err, err2;

	if (!inode)
		return -ENOENT;
	errseq_check_and_advance(&inode->i_mapping->wb_err, &since);	/* what stands there counts as seen, so that a new error is another */
	err = regionfs_flush(region, start, end, deadline);
	err2 = errseq_check_and_advance(&inode->i_mapping->wb_err, &since);
	regionfs_region_iput(region, inode);
	return (!err || err == -EBUSY) && err2 ? err2 : err;
}

/* Everything written and durable: for freeze and the like. */
int regionfs_sync(struct regionfs_region *region, unsigned long deadline)
{
	int err = regionfs_write_out(region, 0, LLONG_MAX, deadline);

	if (!err && regionfs_unsynced(region))
		err = regionfs_send_sync(region, deadline);
	return err;
}

int regionfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct regionfs_region *region = regionfs_region_of(inode);
	int err, err2;

	if (regionfs_region_test(region, REGIONFS_R_MOVED))
		return -ESTALE;
	if (regionfs_region_is_helper(region))
		return -EDEADLK;
	err = regionfs_flush(region, start, end, 0);
	if (!err) {
		err = regionfs_send_sync(region, 0);
		if (err && err != -EINTR && err != -ERESTARTSYS)
			mapping_set_error(inode->i_mapping, err);
	}
	err2 = file_check_and_advance_wb_err(file);
	return err2 ?: err;
}

static int regionfs_sync_one(struct regionfs_region *region, unsigned long deadline)
{
	struct inode *inode = regionfs_region_inode(region);
	int err = 0;

	if (!inode)
		return 0;
	if (!regionfs_region_test(region, REGIONFS_R_MOVED) &&
	    (regionfs_mapping_busy(region, inode->i_mapping) || regionfs_unsynced(region)))
		err = regionfs_sync(region, deadline);
	if (err == -EBUSY) {	/* given up: the bytes stay dirty, and every open file is told once */
		err = -EIO;
		mapping_set_error(inode->i_mapping, err);
	}
	regionfs_region_iput(region, inode);
	return err;
}

/* @deadline: jiffies; 0: none. Each region has a second until it is given up: with many of them, none is to lose its bytes only since its turn came late. */
static int regionfs_sync_regions(struct regionfs_instance *inst, unsigned long deadline)
{
	struct regionfs_region *region;
	unsigned long id = 0;
	bool given_up = false;
	int err = 0, e;

	for (; (region = regionfs_region_next(inst, &id)); id++) {
		if (deadline && !given_up && time_before(deadline, jiffies + HZ))
			deadline = regionfs_deadline(HZ);
		e = regionfs_sync_one(region, deadline);
		given_up |= e && regionfs_past(deadline);
		regionfs_region_put(region);
		err = err ?: e;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return err;
}

/*
 * sync(2) and unmount are bounded by the take-back limit. syncfs(2) waits, killably, and lets go of s_umount meanwhile: a mount or remount would wait for
 * that where kill -9 does not reach, and behind it everyone's sync(2). The superblock stays, as its caller's file is open. Who ends a superblock may come from
 * syncfs(2), too, when it had the last file of it: then none is active, and it is not let go.
 */
int regionfs_sync_fs(struct super_block *sb, int wait)
{
	struct regionfs_instance *inst = sb->s_fs_info;
	int err;

	if (!wait || READ_ONCE(inst->discard))
		return 0;
	if (!regionfs_in_syncfs(sb) || !atomic_read(&sb->s_active))
		return regionfs_sync_regions(inst, regionfs_deadline(msecs_to_jiffies(READ_ONCE(inst->takeback_ms))));
	up_read(&sb->s_umount);
	err = regionfs_sync_regions(inst, 0);
	down_read(&sb->s_umount);
	return err;
}
