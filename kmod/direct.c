// SPDX-License-Identifier: GPL-2.0
/*
 * O_DIRECT: bytes go between the program's pages and the helper without the page cache, several requests at once.
 *
 * Coherence is ext4's: what is cached and dirty in the range is written first; a write drops the range from the page cache
 * before and after. The user's pages are pinned before any lock is taken and belong to the request, so a killed program
 * does not wait for them. What is read from a LOCAL file (local.c) needs no request, and pins nothing.
 */
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include "request.h"

#define REGIONFS_DIRECT_ALIGN	512
#define REGIONFS_DIRECT_BATCH	16	/* requests in flight for one call */
#define REGIONFS_DIRECT_PAGES	32	/* pinned at a time */

struct regionfs_direct {
	struct regionfs_region *region;
	u64 since;		/* READs: ktime_get_ns() when they were asked for; else 0 */
	bool tried;		/* to poll for the only one */
	unsigned int nr;
	struct regionfs_request *reqs[REGIONFS_DIRECT_BATCH];
};

static void regionfs_direct_unpin(struct page **pages, unsigned int nr, bool pinned)
{
	while (nr--) {
		if (pinned)
			unpin_user_page(pages[nr]);
		else
			put_page(pages[nr]);
	}
}

/*
 * A READ's pages are dirty before it begins, as block devices have it: when it ends, in the helper's thread, which must not wait for a
 * page lock, there is then most often nothing to do (see payload.c).
 */
static void regionfs_direct_dirty(struct regionfs_request *req, struct page **pages, unsigned int nr)
{
	while (req->dirty_pages && nr--)
		set_page_dirty_lock(pages[nr]);
}

/* Adds up to @max bytes of the program's memory. Bytes added, 0 when there is no room, or an error. */
static ssize_t regionfs_direct_pages(struct regionfs_request *req, struct iov_iter *iter, size_t max)
{
	struct page *pages[REGIONFS_DIRECT_PAGES];
	size_t offset, added = 0;
	unsigned int i, nr;
	ssize_t got;

	got = regionfs_iter_pages(iter, pages, max, REGIONFS_DIRECT_PAGES, &offset, &req->pinned);
	if (got <= 0)
		return got ?: -EFAULT;
	nr = DIV_ROUND_UP(offset + got, PAGE_SIZE);
	for (i = 0; i < nr; i++) {
		u32 len = min_t(size_t, PAGE_SIZE - offset, got - added);

		if (regionfs_request_add(req, pages[i], offset, len, NULL))
			break;
		added += len;
		offset = 0;
	}
	regionfs_direct_dirty(req, pages, i);
	regionfs_direct_unpin(pages + i, nr - i, req->pinned);
	iov_iter_revert(iter, got - added);
	return added;
}

/*
 * What is left of a sector goes back, and begins the next request: memory that is aligned to less may have ended in its middle, where no more of it was to be had, or
 * where there was no room to note it. Or the batch would be refused for how it ends, which is not the program's fault.
 */
static void regionfs_direct_trim(struct regionfs_request *req, struct iov_iter *iter)
{
	u32 over = req->len & (REGIONFS_DIRECT_ALIGN - 1), n;

	iov_iter_revert(iter, over);
	req->len -= over;
	for (; over; over -= n) {
		struct regionfs_seg *last = &req->segs[req->nr_segs - 1];

		n = min(over, last->len);
		last->len -= n;
		if (last->len)
			continue;
		regionfs_direct_unpin(&last->page, 1, req->pinned);
		req->nr_segs--;
	}
}

/* The next request, with a part of the program's memory and no place yet: at most @max bytes. */
static struct regionfs_request *regionfs_direct_request(struct regionfs_region *region, u8 op, struct iov_iter *iter,
							size_t max)
{
	struct regionfs_request *req = regionfs_request_alloc(region, op, GFP_KERNEL);
	ssize_t n = 0;

	if (!req)
		return ERR_PTR(-ENOMEM);
	req->flags = REGIONFS_REQ_DIRECT | REGIONFS_REQ_DEMAND;
	req->dirty_pages = op == REGIONFS_OP_READ && user_backed_iter(iter);
	max = min(max, iov_iter_count(iter));
	while (req->len < max) {
		n = regionfs_direct_pages(req, iter, max - req->len);
		if (n <= 0)
			break;
	}
	if (req->len < max)
		regionfs_direct_trim(req, iter);
	if (req->len)
		return req;
	regionfs_request_put(req);
	return ERR_PTR(n ?: -ENOMEM);
}

/* Pins the memory of up to a batch. Call it without any lock: the pages may be a region's own. Bytes, or an error when none. */
static ssize_t regionfs_direct_prepare(struct regionfs_direct *d, u8 op, struct iov_iter *iter)
{
	u32 max = READ_ONCE(d->region->inst->max_request);
	struct regionfs_request *req;
	ssize_t sum = 0;

	d->nr = 0;
	while (iov_iter_count(iter) && d->nr < REGIONFS_DIRECT_BATCH) {
		req = regionfs_direct_request(d->region, op, iter, max);
		if (IS_ERR(req))
			return sum ?: PTR_ERR(req);
		sum += req->len;
		d->reqs[d->nr++] = req;
	}
	return sum;
}

/* Gives a prepared batch up. */
static void regionfs_direct_drop(struct regionfs_direct *d)
{
	unsigned int i;

	for (i = 0; i < d->nr; i++)
		regionfs_request_end(d->reqs[i], -REGIONFS_RETRY);
	d->nr = 0;
}

/* Waits for a batch. Bytes done from its start on; *@err is why no more. Polls only for what is learnt from: a READ that is alone. */
static ssize_t regionfs_direct_wait(struct regionfs_direct *d, int *err)
{
	ssize_t done = 0;
	unsigned int i;
	int e;

	*err = 0;
	for (i = 0; i < d->nr; i++) {
		if (d->since && d->nr == 1)
			d->tried = regionfs_poll_until(d->region, d->since, completion_done(&d->reqs[i]->done));
		e = *err == -EINTR ? -EINTR : regionfs_request_wait(d->reqs[i]);
		if (!*err && !e)
			done += d->reqs[i]->len;
		*err = *err ?: e;
		regionfs_request_put(d->reqs[i]);
	}
	return done;
}

/* Sends a prepared batch to @pos. Bytes done from its start on; *@err is why no more, -REGIONFS_RETRY if the helper went away. */
static ssize_t regionfs_direct_run(struct regionfs_direct *d, loff_t pos, int *err)
{
	unsigned int i;

	for (i = 0; i < d->nr; i++) {
		d->reqs[i]->pos = pos;
		pos += d->reqs[i]->len;
		regionfs_request_submit(regionfs_request_get(d->reqs[i]));
	}
	return regionfs_direct_wait(d, err);
}

static bool regionfs_direct_aligned(loff_t pos, size_t count)
{
	return !((pos | count) & (REGIONFS_DIRECT_ALIGN - 1));
}

/* As much as the kernel can read itself. */
static size_t regionfs_direct_local(struct regionfs_region *region, loff_t pos, struct iov_iter *to)
{
	size_t done = 0, n = 1;

	while (iov_iter_count(to) && n && !fatal_signal_pending(current)) {
		n = regionfs_local_direct(region, pos + done, to);
		done += n;
	}
	return done;
}

/* Takes over a prepared batch of READs. Bytes read; *@err is why no more. */
static ssize_t regionfs_direct_ask(struct regionfs_direct *d, loff_t pos, int *err)
{
	ssize_t done;
	u64 took;

	d->since = ktime_get_ns();
	*err = regionfs_region_enter(d->region, 0);
	if (*err) {
		regionfs_direct_drop(d);
		return 0;
	}
	done = regionfs_direct_run(d, pos, err);
	took = regionfs_waited(d->region, d->since);
	if (d->nr == 1)		/* many say nothing of how long one takes */
		regionfs_poll_learn(d->region, took, d->tried);
	regionfs_region_exit(d->region, 0);
	return done;
}

/* Dirty pages of the range are written, then it is read, once. Bytes read; *@err is why no more. */
static ssize_t regionfs_direct_read_batch(struct regionfs_region *region, loff_t pos, struct iov_iter *to, int *err)
{
	struct regionfs_direct d = { .region = region };
	ssize_t sent, done;

	*err = regionfs_region_wait(region, REGIONFS_WANT_HELPER, TASK_KILLABLE);
	if (!*err)
		*err = regionfs_write_out(region, pos, pos + iov_iter_count(to) - 1, 0);
	if (*err)
		return 0;
	done = regionfs_direct_local(region, pos, to);
	if (done)
		return done;
	sent = regionfs_direct_prepare(&d, REGIONFS_OP_READ, to);
	if (sent < 0) {
		*err = sent;
		return 0;
	}
	done = regionfs_direct_ask(&d, pos, err);
	iov_iter_revert(to, sent - done);
	return done;
}

/*
 * One batch. What it is at most is found out once: while its dirty pages are written the helper may change, and with it the size of requests, and
 * then more would be read than was written.
 */
static ssize_t regionfs_direct_read_once(struct regionfs_region *region, loff_t pos, struct iov_iter *to, int *err)
{
	size_t count = iov_iter_count(to);
	ssize_t done;

	iov_iter_truncate(to, (u64)READ_ONCE(region->inst->max_request) * REGIONFS_DIRECT_BATCH);
	done = regionfs_direct_read_batch(region, pos, to, err);
	iov_iter_reexpand(to, count - done);
	return done;
}

ssize_t regionfs_direct_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct regionfs_region *region = regionfs_region_of(inode);
	loff_t size = i_size_read(inode);
	ssize_t done = 0, n;
	size_t count = iov_iter_count(to), cut;
	int err = 0;

	if (!regionfs_direct_aligned(iocb->ki_pos, count))
		return -EINVAL;
	if (iocb->ki_pos >= size || !count)
		return 0;
	cut = min_t(loff_t, count, size - iocb->ki_pos);
	iov_iter_truncate(to, cut);
	do {
		n = regionfs_direct_read_once(region, iocb->ki_pos, to, &err);
		iocb->ki_pos += n;
		done += n;
	} while (done < cut && ((!err && n) || err == -REGIONFS_RETRY || err == -EAGAIN));
	iov_iter_reexpand(to, count - done);
	return done ?: err;
}

/* Inode lock held: the range out of the page cache. Waits for the helper no longer than the take-back limit. */
static int regionfs_direct_invalidate(struct regionfs_region *region, loff_t pos, size_t count)
{
	unsigned long deadline = regionfs_deadline(msecs_to_jiffies(READ_ONCE(region->inst->takeback_ms)) + 1);
	int err = regionfs_write_out(region, pos, pos + count - 1, deadline);

	if (!err)
		err = regionfs_invalidate(region, pos, pos + count, false, deadline);
	return err == -EBUSY ? -REGIONFS_RETRY : err;
}

/*
 * The whole range leaves the page cache, done or not: of a batch that failed in its middle, or whose program was killed, the later
 * parts may have been written, or may be written yet; what is read from now on is ordered after them. Where such parts lie past
 * the end of the file, the source is cut there, after them: else they would show when the file grows.
 */
static void regionfs_direct_written(struct inode *inode, loff_t pos, size_t count, ssize_t done)
{
	struct address_space *mapping = inode->i_mapping;
	struct regionfs_region *region = regionfs_region_of(inode);
	loff_t size = i_size_read(inode);

	if (done && pos + done > size) {
		atomic64_add(pos + done - size, &region->inst->bytes);
		i_size_write(inode, pos + done);
	}
	if (done < count && pos + count > i_size_read(inode))
		mapping_set_error(mapping, regionfs_cut_source(region, i_size_read(inode)));
	if (mapping->nrpages &&
	    invalidate_inode_pages2_range(mapping, pos >> PAGE_SHIFT, (pos + count - 1) >> PAGE_SHIFT))
		mapping_set_error(mapping, -EIO);	/* someone maps and dirties what was just written around him */
}

/*
 * What changes is then noted by blocks, else for all of the region, where it would make who reads a LOCAL file read again; so it does where there is no
 * memory for that.
 */
static void regionfs_direct_reserve(struct regionfs_region *region, loff_t pos, size_t count)
{
	pgoff_t first = pos >> PAGE_SHIFT, last = (pos + count - 1) >> PAGE_SHIFT;

	regionfs_dirty_reserve(region, first, last - first + 1);
}

/* Inode lock held: may @count bytes be written, and where? The file's limits may say that it is @count bytes, and no more. */
static int regionfs_direct_checks(struct kiocb *iocb, loff_t *count)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct regionfs_region *region = regionfs_region_of(inode);
	int err = generic_write_checks_count(iocb, count);
	ssize_t fits;

	if (err || !*count)
		return err;
	fits = regionfs_write_fits(inode, iocb->ki_pos, *count);
	if (fits < 0)
		return fits;
	*count = fits;
	if (!regionfs_direct_aligned(iocb->ki_pos, *count))
		return -EINVAL;
	err = file_modified(iocb->ki_filp);
	if (!err && iocb->ki_pos > i_size_read(inode))
		err = regionfs_zero_tail(inode, i_size_read(inode));
	if (err)
		return err;
	regionfs_direct_reserve(region, iocb->ki_pos, *count);
	return regionfs_direct_invalidate(region, iocb->ki_pos, *count);
}

/* Inode lock held, counted in as a writer; takes over the batch of @sent bytes. Bytes written; *@err says why no more. */
static ssize_t regionfs_direct_write_locked(struct kiocb *iocb, struct regionfs_direct *d, size_t sent, loff_t *limit,
					    int *err)
{
	ssize_t done;

	*limit = sent;
	*err = regionfs_direct_checks(iocb, limit);
	if (!*err && *limit < sent)
		*err = -REGIONFS_RETRY;
	if (*err) {
		regionfs_direct_drop(d);
		return 0;
	}
	done = regionfs_direct_run(d, iocb->ki_pos, err);
	regionfs_direct_written(file_inode(iocb->ki_filp), iocb->ki_pos, sent, done);
	iocb->ki_pos += done;
	return done;
}

/* Takes over the batch; see above. */
static ssize_t regionfs_direct_write_batch(struct kiocb *iocb, struct regionfs_direct *d, size_t sent, loff_t *limit, int *err)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done = 0;

	*limit = sent;
	*err = down_write_killable(&inode->i_rwsem);
	if (*err) {
		regionfs_direct_drop(d);
		return 0;
	}
	*err = regionfs_region_enter(d->region, REGIONFS_WANT_WRITE);
	if (!*err) {
		done = regionfs_direct_write_locked(iocb, d, sent, limit, err);
		regionfs_region_exit(d->region, REGIONFS_WANT_WRITE);
	} else {
		regionfs_direct_drop(d);
	}
	inode_unlock(inode);
	return done;
}

static ssize_t regionfs_direct_write_once(struct kiocb *iocb, struct iov_iter *from, struct regionfs_region *region, int *err)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t pos = iocb->ki_flags & IOCB_APPEND ? i_size_read(inode) : iocb->ki_pos, limit;
	pgoff_t first = pos >> PAGE_SHIFT, last = (pos + iov_iter_count(from)) >> PAGE_SHIFT;
	struct regionfs_direct d = { .region = region };
	ssize_t sent, done;

	*err = regionfs_region_wait(region, REGIONFS_WANT_WRITE | REGIONFS_WANT_HELPER, TASK_KILLABLE);
	if (!*err)	/* an earlier attempt that was taken back keeps its range until it is answered */
		*err = wait_event_killable(region->wait, !regionfs_order_closed(region, first, last));
	if (*err)
		return 0;
	sent = regionfs_direct_prepare(&d, REGIONFS_OP_WRITE, from);
	if (sent < 0) {
		*err = sent;
		return 0;
	}
	done = regionfs_direct_write_batch(iocb, &d, sent, &limit, err);
	iov_iter_revert(from, sent - done);
	if (limit < sent)	/* of the file, or of what the program may write */
		iov_iter_truncate(from, limit);
	return done;
}

/* As much as is one's turn to write. Bytes; *@err is why no more. */
static ssize_t regionfs_direct_write_turn(struct kiocb *iocb, struct iov_iter *from, struct regionfs_region *region, int *err)
{
	struct regionfs_turn turn = { .pos = iocb->ki_flags & IOCB_APPEND ? 0 : iocb->ki_pos, .len = iov_iter_count(from) };
	size_t count = turn.len;
	ssize_t done;

	*err = regionfs_region_wait(region, REGIONFS_WANT_WRITE | REGIONFS_WANT_HELPER, TASK_KILLABLE);
	if (!*err)
		*err = regionfs_rate_wait(region, &turn, TASK_KILLABLE);
	if (*err)
		return 0;
	iov_iter_truncate(from, turn.len);
	done = regionfs_direct_write_once(iocb, from, region, err);
	regionfs_rate_refund(region, &turn, done);
	if (iov_iter_count(from) == turn.len - done)	/* else the file's limits allow no more */
		iov_iter_reexpand(from, count - done);
	return done;
}

ssize_t regionfs_direct_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct regionfs_region *region = regionfs_region_of(file_inode(iocb->ki_filp));
	ssize_t done = 0, n;
	int err;

	do {
		n = regionfs_direct_write_turn(iocb, from, region, &err);
		done += n;
	} while (iov_iter_count(from) && !fatal_signal_pending(current) && !(done && regionfs_write_at_limit(iocb)) &&
		 (err == -REGIONFS_RETRY || err == -EAGAIN || (!err && n)));
	if (err == -REGIONFS_RETRY || err == -EAGAIN)
		err = -EINTR;
	return done ?: err;
}
