// SPDX-License-Identifier: GPL-2.0
/*
 * What may be done to a region now: freeze, lock, read-only, moved, and writers kept out for a moment.
 *
 * Readers and writers count themselves in before they look at the flags; freeze and lock set their flag, then wait until
 * the others are out. So whoever got in before is waited for, whoever comes later sees the flag.
 * Nobody who is counted in waits for the helper with no end: reads are detached by lock, and writers wait outside.
 */
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/freezer.h>
#include "request.h"
#include "trace.h"

static unsigned long regionfs_region_barred(unsigned int want)
{
	unsigned long flags = BIT(REGIONFS_R_LOCKED) | BIT(REGIONFS_R_MOVED);

	if (want & REGIONFS_WANT_INTERNAL)
		return 0;
	if (want & REGIONFS_WANT_WRITE)
		flags |= BIT(REGIONFS_R_FROZEN) | BIT(REGIONFS_R_READ_ONLY);
	if (want & REGIONFS_WANT_WRITE && !(want & REGIONFS_WANT_SIZE))
		flags |= BIT(REGIONFS_R_BARRED);
	return flags;
}

/* 0, -EAGAIN: wait; -ESTALE: moved; -EROFS: revoked; -ENODEV: the instance ends. */
int regionfs_region_may(struct regionfs_region *region, unsigned int want)
{
	unsigned long flags = READ_ONCE(region->flags) & regionfs_region_barred(want);

	if (unlikely(READ_ONCE(region->inst->dying)))
		return -ENODEV;
	if (likely(!flags))
		return (want & REGIONFS_WANT_HELPER) && (!READ_ONCE(region->inst->chan) || READ_ONCE(region->closing)) ?
		       -EAGAIN : 0;
	if (flags & BIT(REGIONFS_R_MOVED))
		return -ESTALE;
	if (flags & BIT(REGIONFS_R_READ_ONLY))
		return -EROFS;
	return -EAGAIN;
}

/* Counts the caller in, unless -EAGAIN, -ESTALE, -EROFS. Never sleeps. */
int regionfs_region_enter(struct regionfs_region *region, unsigned int want)
{
	int err;

	atomic_inc(want & REGIONFS_WANT_WRITE ? &region->writers : &region->readers);
	smp_mb__after_atomic();		/* pairs with regionfs_region_drain() */
	err = regionfs_region_may(region, want & (REGIONFS_WANT_WRITE | REGIONFS_WANT_SIZE));
	if (err)
		regionfs_region_exit(region, want);
	return err;
}

void regionfs_region_exit(struct regionfs_region *region, unsigned int want)
{
	if (atomic_dec_and_test(want & REGIONFS_WANT_WRITE ? &region->writers : &region->readers) &&
	    READ_ONCE(region->flags) & (BIT(REGIONFS_R_FROZEN) | BIT(REGIONFS_R_LOCKED) | BIT(REGIONFS_R_MOVED) |
					BIT(REGIONFS_R_READ_ONLY) | BIT(REGIONFS_R_BARRED)))
		wake_up_all(&region->wait);
}

#define regionfs_wait_gate(inst, cond, state, left)						\
	___wait_event((inst)->wait, ___wait_cond_timeout(cond), state, 0, left, __ret = schedule_timeout(__ret))

/*
 * How long an access may still wait for a helper: the region's time-out counts from when the last one went, so that
 * what comes later fails at once. 0: not at all.
 */
static long regionfs_region_patience(struct regionfs_region *region)
{
	struct regionfs_instance *inst = region->inst;
	u32 ms = READ_ONCE(region->timeout_ms);

	if (!ms || READ_ONCE(inst->chan))
		return MAX_SCHEDULE_TIMEOUT;
	return max_t(long, READ_ONCE(inst->lost_at) + msecs_to_jiffies(ms) - jiffies, 0);
}

/*
 * Waits until @want may be had, in @task_state. 0; -ERESTARTSYS: a signal is pending; -EIO: there has been no helper for
 * longer than the region's time-out; -ESTALE, -EROFS. Call it with no lock that others need.
 */
int regionfs_region_wait(struct regionfs_region *region, unsigned int want, unsigned int task_state)
{
	struct regionfs_instance *inst = region->inst;
	struct regionfs_channel *chan;
	long left;
	int err;

	while ((err = regionfs_region_may(region, want)) == -EAGAIN) {
		left = want & REGIONFS_WANT_HELPER ? regionfs_region_patience(region) : MAX_SCHEDULE_TIMEOUT;
		if (!left)
			return -EIO;
		chan = READ_ONCE(inst->chan);	/* when it goes, the patience is another */
		left = regionfs_wait_gate(inst, regionfs_region_may(region, want) != -EAGAIN ||
					  READ_ONCE(inst->chan) != chan, task_state, left);
		if (left < 0)
			return left;
	}
	return err;
}

/* Has there been no helper for longer than the region's time-out? */
bool regionfs_region_given_up(struct regionfs_region *region)
{
	return !regionfs_region_patience(region);
}

/* A helper that touches a file of its own instance would wait for itself. */
bool regionfs_region_is_helper(struct regionfs_region *region)
{
	return regionfs_channel_is_caller(region->inst);
}

/* Waits until @counter is zero, killably and until @deadline (jiffies). -EBUSY, -EINTR, -ENODEV when the instance ends. */
static int regionfs_region_drain(struct regionfs_region *region, atomic_t *counter, unsigned long deadline)
{
	long left = deadline - jiffies;

	smp_mb();	/* the flag before the count; pairs with regionfs_region_enter() */
	left = wait_event_killable_timeout(region->wait, !atomic_read(counter) || READ_ONCE(region->inst->dying), max(left, 1L));
	if (left < 0)
		return -EINTR;
	if (READ_ONCE(region->inst->dying))
		return -ENODEV;
	return left ? 0 : -EBUSY;
}

/*
 * Keeps writers out until regionfs_region_admit(), and waits until those within have left: never call it as one of them, nor with the inode lock held.
 * Truncates still come in. -EBUSY past @deadline, -EINTR; admit them in any case.
 */
int regionfs_region_bar(struct regionfs_region *region, unsigned long deadline)
{
	spin_lock(&region->inst->lock);
	region->barring++;
	set_bit(REGIONFS_R_BARRED, &region->flags);
	spin_unlock(&region->inst->lock);
	regionfs_rate_wake(region);
	return regionfs_region_drain(region, &region->writers, deadline);
}

void regionfs_region_admit(struct regionfs_region *region)
{
	spin_lock(&region->inst->lock);
	if (!--region->barring)
		clear_bit(REGIONFS_R_BARRED, &region->flags);
	spin_unlock(&region->inst->lock);
	smp_mb();	/* the flag before the look for waiters */
	wake_up_all(&region->inst->wait);
}

/* Pinned pages, as they are found */
struct regionfs_pinned {
	struct regionfs_region *region;
	u64 count;
	u64 first;		/* the offset of the first; not meant while there are none */
};

static void regionfs_pinned_look(struct regionfs_pinned *pinned, struct folio *folio)
{
	if (!folio_maybe_dma_pinned(folio))
		return;
	if (!pinned->count || (u64)folio_pos(folio) < pinned->first)
		pinned->first = folio_pos(folio);
	pinned->count += folio_nr_pages(folio);
}

/* Those whose dirty bits are set */
static void regionfs_pinned_bits(struct regionfs_pinned *pinned, struct address_space *mapping)
{
	pgoff_t index;

	for (index = 0; regionfs_dirty_next(pinned->region, &index); index++) {
		struct folio *folio = regionfs_get_cached_folio(mapping, index);

		cond_resched();
		if (!folio)
			continue;
		regionfs_pinned_look(pinned, folio);
		index = folio_next_index(folio) - 1;
		folio_put(folio);
	}
}

/* Dirty folios that have no bits: whoever dirtied them didn't come by a fault of his own. */
static void regionfs_pinned_dirty(struct regionfs_pinned *pinned, struct address_space *mapping)
{
	struct folio_batch batch;
	pgoff_t index = 0;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios_tag(mapping, &index, ULONG_MAX, PAGECACHE_TAG_DIRTY, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++)
			if (!regionfs_dirty_any(pinned->region, batch.folios[i]))
				regionfs_pinned_look(pinned, batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
}

/*
 * Pages that someone may still write through a pin of his own; *@first is the first one's offset. Such a page had a fault for
 * writing, which set its dirty bit, and write-back leaves the bit of a page that is pinned (dirty.c). So the others, which may be
 * all that memory holds, need not be looked at: programs stand still meanwhile.
 */
static u64 regionfs_region_pinned(struct regionfs_region *region, struct address_space *mapping, u64 *first)
{
	struct regionfs_pinned pinned = { .region = region };

	regionfs_pinned_bits(&pinned, mapping);
	regionfs_pinned_dirty(&pinned, mapping);
	if (pinned.count)
		*first = pinned.first;
	return pinned.count;
}

/* Until no page is pinned; an unpin tells nobody, so it is looked for. */
static int regionfs_freeze_pinned(struct regionfs_region *region, struct inode *inode, unsigned long deadline, bool force,
				  u64 *pinned, u64 *first)
{
	for (;;) {
		*pinned = regionfs_region_pinned(region, inode->i_mapping, first);
		if (!*pinned || force)
			return 0;
		if (READ_ONCE(region->inst->dying))
			return -ENODEV;
		if (time_after_eq(jiffies, deadline))
			return -EBUSY;
		if (schedule_timeout_killable(HZ / 50) && fatal_signal_pending(current))
			return -EINTR;
	}
}

/*
 * All that is dirty is written; true in *@again when something was dirtied since this began: by a pin that was let go after that; or when there is such
 * a pin now, taken before the page's mapping was write-protected, which @pinned and @first tell, if not NULL. It dirties first, and goes then, so it is
 * looked for first.
 */
static int regionfs_freeze_sync(struct regionfs_region *region, struct address_space *mapping, unsigned long deadline, u64 *pinned,
				u64 *first, bool *again)
{
	int err;

	clear_bit(REGIONFS_R_LATE_DIRTY, &region->flags);
	smp_mb__after_atomic();		/* the flag before the look for dirty pages */
	err = regionfs_sync(region, deadline);
	if (!err && pinned)
		*pinned = regionfs_region_pinned(region, mapping, first);
	smp_rmb();			/* the pins before what they leave behind */
	*again = (pinned && *pinned) || regionfs_region_test(region, REGIONFS_R_LATE_DIRTY) || mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) ||
		 mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK);
	if (!err && *again && time_after_eq(jiffies, deadline))
		return -EBUSY;
	return err;
}

static int regionfs_freeze_run(struct regionfs_region *region, struct inode *inode, unsigned long deadline, bool force,
			       u64 *pinned, u64 *first)
{
	int err = regionfs_region_drain(region, &region->writers, deadline);
	bool again = true;

	while (!err && again) {
		err = regionfs_freeze_pinned(region, inode, deadline, force, pinned, first);
		if (!err)
			err = regionfs_freeze_sync(region, inode->i_mapping, deadline, force ? NULL : pinned, first, &again);
	}
	return err;
}

/* Under inst->lock: who reads a LOCAL file himself, and finds the gate open under it, sees what was done to the file before. */
static void regionfs_region_open_gate(struct regionfs_region *region, int bit)
{
	spin_lock(&region->inst->lock);
	clear_bit(bit, &region->flags);
	spin_unlock(&region->inst->lock);
	smp_mb();	/* the flag before the look for waiters */
	wake_up_all(&region->inst->wait);
}

static int regionfs_op_begin(struct regionfs_region *region, struct inode **inode)
{
	*inode = regionfs_region_inode(region);
	if (!*inode)
		return -ENOENT;
	if (test_and_set_bit(REGIONFS_R_OP_RUNNING, &region->flags)) {
		regionfs_region_iput(region, *inode);
		return -EBUSY;
	}
	return 0;
}

/* On an error all is as it was before; so it is when someone has undone it in the middle: -ECANCELED. */
static int regionfs_op_settle(struct regionfs_region *region, int bit, int err, enum regionfs_event event)
{
	if (!err && !regionfs_region_test(region, bit))
		err = -ECANCELED;
	if (err)
		regionfs_region_open_gate(region, bit);
	else
		regionfs_event(region->inst, region, event);
	return err;
}

static void regionfs_op_end(struct regionfs_region *region, struct inode *inode)
{
	clear_bit_unlock(REGIONFS_R_OP_RUNNING, &region->flags);
	smp_mb__after_atomic();		/* pairs with regionfs_late_work(), which passes over what is being frozen */
	if (regionfs_region_test(region, REGIONFS_R_LATE_DIRTY))
		queue_work(regionfs_wq, &region->inst->late);
	regionfs_region_iput(region, inode);
}

/*
 * Nobody writes from now on, and all is written and synced when it returns 0. -EBUSY: a writer, or *@pinned pages from
 * *@first on, stayed past @deadline (jiffies); then, and on any other error, it is thawed.
 */
int regionfs_region_freeze(struct regionfs_region *region, unsigned long deadline, bool force, u64 *pinned, u64 *first)
{
	struct inode *inode;
	int err = regionfs_op_begin(region, &inode);

	if (err)
		return err;
	clear_bit(REGIONFS_R_LATE_TOLD, &region->flags);
	if (test_and_set_bit(REGIONFS_R_FROZEN, &region->flags)) {
		regionfs_op_end(region, inode);
		return 0;
	}
	regionfs_rate_wake(region);
	err = regionfs_freeze_run(region, inode, deadline, force, pinned, first);
	err = regionfs_op_settle(region, REGIONFS_R_FROZEN, err, REGIONFS_EVENT_FROZEN);
	regionfs_op_end(region, inode);
	return err;
}

void regionfs_region_thaw(struct regionfs_region *region)
{
	if (!regionfs_region_test(region, REGIONFS_R_FROZEN))
		return;
	regionfs_region_open_gate(region, REGIONFS_R_FROZEN);
	regionfs_event(region->inst, region, REGIONFS_EVENT_THAWED);
}

/*
 * Who reads a LOCAL file himself is not counted in, and not waited for. He looks at the flag, and takes a token, under inst->lock, which is taken here
 * too after the flag was set: he has seen it, or his token is older than the change that regionfs_invalidate() notes at the end,
 * and what he has read does not count.
 */
static int regionfs_lock_run(struct regionfs_region *region, struct inode *inode, unsigned long deadline)
{
	int err;

	regionfs_detach_reads(region);
	err = regionfs_region_drain(region, &region->writers, deadline);
	if (!err)
		err = regionfs_region_drain(region, &region->readers, deadline);
	if (!err)
		err = regionfs_sync(region, deadline);
	if (!err)
		err = regionfs_invalidate(region, 0, LLONG_MAX, false, deadline);
	return err;
}

/* Nobody reads, writes or maps a byte until unlock. On an error nothing has changed. */
int regionfs_region_lock(struct regionfs_region *region, unsigned long deadline)
{
	struct inode *inode;
	int err = regionfs_op_begin(region, &inode);

	if (err)
		return err;
	if (test_and_set_bit(REGIONFS_R_LOCKED, &region->flags)) {
		regionfs_op_end(region, inode);
		return 0;
	}
	regionfs_rate_wake(region);
	err = regionfs_lock_run(region, inode, deadline);
	err = regionfs_op_settle(region, REGIONFS_R_LOCKED, err, REGIONFS_EVENT_LOCKED);
	regionfs_op_end(region, inode);
	return err;
}

/* Drops @ranges from the page cache, then lets everyone in. Drops nothing and lets nobody in on an error. */
int regionfs_region_unlock(struct regionfs_region *region, const struct regionfs_range *ranges, unsigned int nr)
{
	unsigned int i;
	int err;

	if (!regionfs_region_test(region, REGIONFS_R_LOCKED))
		return 0;
	for (i = 0; i < nr; i++) {
		u64 left = LLONG_MAX - min_t(u64, ranges[i].offset, LLONG_MAX);
		loff_t end = ranges[i].length && ranges[i].length < left ? ranges[i].offset + ranges[i].length : LLONG_MAX;

		err = regionfs_invalidate(region, ranges[i].offset, end, true, regionfs_deadline(HZ));
		if (err)
			return err;
	}
	spin_lock(&region->meta_lock);
	region->gen++;
	spin_unlock(&region->meta_lock);
	regionfs_region_open_gate(region, REGIONFS_R_LOCKED);
	regionfs_event(region->inst, region, REGIONFS_EVENT_UNLOCKED);
	return 0;
}

/*
 * Takes write permission from every mapping of a dirty page, also from one that is being given it now: who gives it holds the
 * folio lock, and has dirtied the folio before he looked at the flag (see regionfs_mkwrite_locked()). -EINTR.
 */
static int regionfs_revoke_mappings(struct address_space *mapping)
{
	struct folio_batch batch;
	pgoff_t index = 0;
	unsigned int i;
	int err = 0;

	unmap_mapping_range(mapping, 0, 0, 0);
	folio_batch_init(&batch);
	while (!err && filemap_get_folios_tag(mapping, &index, ULONG_MAX, PAGECACHE_TAG_DIRTY, &batch)) {
		for (i = 0; i < folio_batch_count(&batch) && !err; i++) {
			err = folio_lock_killable(batch.folios[i]);
			if (err)
				break;
			folio_mkclean(batch.folios[i]);	/* it stays dirty */
			folio_unlock(batch.folios[i]);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	return err;
}

/*
 * Revokes write access for everyone at once, and starts writing what is dirty; or gives it back. A writer that is copying
 * now may finish, and is not waited for. -EINTR: it is set, but a mapping may have kept its permission: set it again.
 */
int regionfs_region_set_read_only(struct regionfs_region *region, bool on)
{
	struct inode *inode = regionfs_region_inode(region);
	int err = 0;

	if (!inode)
		return -ENOENT;
	if (!on) {
		regionfs_region_open_gate(region, REGIONFS_R_READ_ONLY);
	} else {
		set_bit(REGIONFS_R_READ_ONLY, &region->flags);
		smp_mb__after_atomic();	/* the flag before the look for waiters */
		wake_up_all(&region->inst->wait);
		err = regionfs_revoke_mappings(inode->i_mapping);
		filemap_flush(inode->i_mapping);
	}
	regionfs_region_iput(region, inode);
	regionfs_event(region->inst, region, REGIONFS_EVENT_CHANGED);
	return err;
}

/* From now on nobody gets in. -EINVAL unless @epoch is newer than the region's. */
int regionfs_region_moved_begin(struct regionfs_region *region, u64 epoch)
{
	if (epoch <= READ_ONCE(region->epoch))
		return -EINVAL;
	set_bit(REGIONFS_R_MOVED, &region->flags);
	smp_mb__after_atomic();	/* the flag before the look for waiters */
	wake_up_all(&region->inst->wait);
	regionfs_local_drop(region);	/* after the flag, which LOCAL looks at under the same lock */
	return 0;
}

/*
 * No request with bytes is sent from here on, those that are on their way are taken back, and whoever was writing comes out; who
 * does not within a second writes to pages that nobody will ever see or send.
 */
static void regionfs_moved_drain(struct regionfs_region *region)
{
	regionfs_request_drop_meta(region);
	regionfs_detach_range(region, 0, U64_MAX);
	regionfs_region_drain(region, &region->writers, jiffies + HZ);
}

/*
 * The region lives elsewhere: nobody reads or writes it here again. To end what regionfs_region_moved_begin() has begun. *@lost: dirty bytes dropped by
 * it. The epoch is raised last, so that no WRITE of the old owner's carries the new one. -ENOENT: the region is gone.
 */
int regionfs_region_moved(struct regionfs_region *region, u64 epoch, u64 *lost)
{
	struct inode *inode = regionfs_region_inode(region);

	if (!inode)
		return -ENOENT;
	regionfs_moved_drain(region);
	*lost = regionfs_drop_all(region);
	spin_lock(&region->meta_lock);
	region->epoch = max(region->epoch, epoch);
	spin_unlock(&region->meta_lock);
	regionfs_event(region->inst, region, REGIONFS_EVENT_MOVED);
	regionfs_region_iput(region, inode);
	return 0;
}
