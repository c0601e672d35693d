// SPDX-License-Identifier: GPL-2.0
/*
 * Buffered write().
 *
 * Nothing here waits for the helper with the inode lock held: pages that are overwritten in part are filled before it is
 * taken (and again, should they be gone by then); throttling by dirty memory, which lasts as long as the helper is
 * away, happens after it was dropped. So a write is atomic against other writes unless it was throttled in the middle.
 */
#include <linux/backing-dev.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include "request.h"

static unsigned int regionfs_write_order(loff_t pos, size_t len)
{
	unsigned int order = 0;

	if (offset_in_page(pos) || len < 2 * PAGE_SIZE)
		return 0;
	order = min_t(unsigned int, ilog2(len >> PAGE_SHIFT), REGIONFS_MAX_ORDER);
	if (pos >> PAGE_SHIFT)
		order = min_t(unsigned int, order, __ffs(pos >> PAGE_SHIFT));
	return order == 1 ? 0 : order;
}

/* A new folio in the page cache, locked; as large as the write covers whole, smaller when memory is short. */
static struct folio *regionfs_write_new(struct address_space *mapping, loff_t pos, size_t len)
{
	unsigned int order = regionfs_write_order(pos, len);
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;
	int err;

	do {
		folio = filemap_alloc_folio(order ? gfp | __GFP_NORETRY | __GFP_NOWARN : gfp, order);
		err = -ENOMEM;
		if (folio) {
			err = filemap_add_folio(mapping, folio, pos >> PAGE_SHIFT, gfp);
			if (!err)
				return folio;
			folio_put(folio);
		}
		if (!order)
			return ERR_PTR(err);
		order = 0;
	} while (1);
}

/* The folio at @pos, locked, in the page cache; -EEXIST to look again. */
static struct folio *regionfs_write_folio_at(struct address_space *mapping, loff_t pos, size_t len)
{
	struct folio *folio = regionfs_get_cached_folio(mapping, pos >> PAGE_SHIFT);

	if (!folio)
		return regionfs_write_new(mapping, pos, len);
	if (folio_lock_killable(folio)) {
		folio_put(folio);
		return ERR_PTR(-EINTR);
	}
	if (folio->mapping == mapping)
		return folio;
	folio_unlock(folio);
	folio_put(folio);
	return ERR_PTR(-EEXIST);
}

/* May [@pos, @pos + @len) of a folio be written that is not uptodate? Zeroes what lies beyond the end of the file. */
static bool regionfs_write_prepare(struct folio *folio, loff_t pos, size_t len, loff_t size)
{
	size_t from = pos - folio_pos(folio), fsize = folio_size(folio);

	if (folio_test_uptodate(folio) || (!from && len >= fsize))
		return true;
	if (folio_pos(folio) < size)
		return false;
	folio_zero_segments(folio, 0, from, from + len, fsize);
	return true;
}

static size_t regionfs_write_copy(struct folio *folio, size_t from, size_t len, struct iov_iter *iter)
{
	size_t done = 0, step, n;

	while (done < len) {
		size_t at = from + done;

		step = min_t(size_t, len - done, PAGE_SIZE - offset_in_page(at));
		n = copy_page_from_iter_atomic(folio_page(folio, at >> PAGE_SHIFT), offset_in_page(at), step, iter);
		done += n;
		if (n < step)
			break;
	}
	flush_dcache_folio(folio);
	return done;
}

/* The bytes are in the folio: dirty it and let the file grow. Inode lock and folio lock held. */
static void regionfs_write_done(struct inode *inode, struct folio *folio, loff_t pos, size_t len)
{
	struct regionfs_region *region = regionfs_region_of(inode);
	loff_t size = i_size_read(inode);

	if (!folio_test_uptodate(folio))
		folio_mark_uptodate(folio);
	regionfs_dirty_set(region, pos >> PAGE_SHIFT, ((pos + len - 1) >> PAGE_SHIFT) - (pos >> PAGE_SHIFT) + 1);
	if (pos + len > size) {
		atomic64_add(pos + len - size, &region->inst->bytes);
		i_size_write(inode, pos + len);
	}
	filemap_dirty_folio(inode->i_mapping, folio);
}

/* Copies into one folio. Bytes copied, or -REGIONFS_RETRY: it has to be filled first, without the inode lock. */
static ssize_t regionfs_write_into(struct inode *inode, struct folio *folio, loff_t pos, struct iov_iter *iter)
{
	size_t from = pos - folio_pos(folio);
	size_t len = min_t(size_t, folio_size(folio) - from, iov_iter_count(iter)), copied;

	if (!regionfs_write_prepare(folio, pos, len, i_size_read(inode)))
		return -REGIONFS_RETRY;
	copied = regionfs_write_copy(folio, from, len, iter);
	if (!copied || (copied < len && !folio_test_uptodate(folio))) {
		iov_iter_revert(iter, copied);	/* the source has gone: bring it in again */
		return -REGIONFS_RETRY;
	}
	regionfs_write_done(inode, folio, pos, copied);
	return copied;
}

/* Inode lock held. Bytes written into the folio at @pos, or an error. */
static ssize_t regionfs_write_step(struct inode *inode, loff_t pos, size_t len, struct iov_iter *iter)
{
	struct regionfs_region *region = regionfs_region_of(inode);
	struct folio *folio;
	ssize_t ret;

	len = min_t(size_t, len, PAGE_SIZE << REGIONFS_MAX_ORDER);
	if (regionfs_dirty_reserve(region, pos >> PAGE_SHIFT, (len >> PAGE_SHIFT) + 2))
		return -ENOMEM;
	do {
		folio = regionfs_write_folio_at(inode->i_mapping, pos, len);
	} while (folio == ERR_PTR(-EEXIST));
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	ret = regionfs_write_into(inode, folio, pos, iter);
	folio_unlock(folio);
	folio_put(folio);
	return ret;
}

/*
 * Inode lock held. Writes until all is done, an error, or -EAGAIN: there is too much dirty memory. What was written
 * before an error counts.
 */
static ssize_t regionfs_write_locked(struct kiocb *iocb, struct iov_iter *iter)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done = 0, ret = 0;

	while (iov_iter_count(iter) && !ret) {
		ret = regionfs_write_step(inode, iocb->ki_pos, iov_iter_count(iter), iter);
		if (ret < 0)
			break;
		iocb->ki_pos += ret;
		done += ret;
		ret = fatal_signal_pending(current) ? -EINTR : 0;
		if (!ret)
			ret = balance_dirty_pages_ratelimited_flags(inode->i_mapping, BDP_ASYNC);
	}
	return done ?: ret;
}

/* Fills the pages that [@pos, @pos + @len) covers in part, where they have bytes of the file. */
static int regionfs_write_edges(struct file *file, struct regionfs_region *region, loff_t pos, size_t len)
{
	loff_t size = i_size_read(file_inode(file)), end = pos + len;
	int err = 0;

	if (offset_in_page(pos) && round_down(pos, PAGE_SIZE) < size)
		err = regionfs_fill_page(file, region, pos >> PAGE_SHIFT);
	if (!err && offset_in_page(end) && end < size && (end >> PAGE_SHIFT != pos >> PAGE_SHIFT || !offset_in_page(pos)))
		err = regionfs_fill_page(file, region, end >> PAGE_SHIFT);
	return err;
}

/*
 * Without the inode lock: brings in the source of the next bytes (all that can be, up to 16 MiB; *@len is how much) and the
 * pages that would be torn. The folio that a write would tear may be larger than a page: then @again.
 */
static int regionfs_write_fill(struct kiocb *iocb, struct iov_iter *iter, struct regionfs_region *region, bool again,
			       size_t *len)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t pos = iocb->ki_flags & IOCB_APPEND ? i_size_read(inode) : iocb->ki_pos;

	*len = min_t(size_t, iov_iter_count(iter), SZ_16M);
	*len -= fault_in_iov_iter_readable(iter, *len);
	if (!*len)
		return -EFAULT;
	if (again)
		return regionfs_fill_page(iocb->ki_filp, region, pos >> PAGE_SHIFT);
	return regionfs_write_edges(iocb->ki_filp, region, pos, *len);
}

/* How many of @count bytes at @pos may be written where the size cannot change; -EPERM: none. Inode lock held. */
ssize_t regionfs_write_fits(struct inode *inode, loff_t pos, size_t count)
{
	loff_t size = i_size_read(inode);

	if (!regionfs_region_test(regionfs_region_of(inode), REGIONFS_R_FIXED_SIZE) || pos + count <= size)
		return count;
	return pos < size ? size - pos : -EPERM;
}

/* After a part was written: would the next byte be the first too many, and cost the program a signal? */
bool regionfs_write_at_limit(struct kiocb *iocb)
{
	return iocb->ki_pos >= min_t(u64, rlimit(RLIMIT_FSIZE), file_inode(iocb->ki_filp)->i_sb->s_maxbytes);
}

/* generic_write_checks(), and those of our own. */
static ssize_t regionfs_write_checks(struct kiocb *iocb, struct iov_iter *iter)
{
	ssize_t ret = generic_write_checks(iocb, iter);

	if (ret > 0)
		ret = regionfs_write_fits(file_inode(iocb->ki_filp), iocb->ki_pos, ret);
	if (ret > 0)
		iov_iter_truncate(iter, ret);
	return ret;
}

/* What lies between the old end of the file and a write beyond it reads zero. */
static int regionfs_write_gap(struct kiocb *iocb, struct inode *inode)
{
	loff_t size = i_size_read(inode);

	return iocb->ki_pos > size ? regionfs_zero_tail(inode, size) : 0;
}

/* *@allowed: how many bytes may be written here, where that is less than there are. */
static ssize_t regionfs_write_once(struct kiocb *iocb, struct iov_iter *iter, struct regionfs_region *region, size_t *allowed)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	ret = regionfs_region_enter(region, REGIONFS_WANT_WRITE);
	if (ret)
		goto unlock;
	ret = regionfs_write_checks(iocb, iter);
	if (ret > 0)
		*allowed = ret;
	if (ret > 0)
		ret = file_modified(iocb->ki_filp) ?: regionfs_write_gap(iocb, inode) ?: 1;
	if (ret > 0)
		ret = regionfs_write_locked(iocb, iter);
	regionfs_region_exit(region, REGIONFS_WANT_WRITE);
unlock:
	inode_unlock(inode);
	return ret;
}

/* One turn: fill, write what can be written at once. */
static ssize_t regionfs_write_turn(struct kiocb *iocb, struct iov_iter *iter, struct regionfs_region *region, bool again)
{
	size_t count = iov_iter_count(iter), len, allowed;
	ssize_t ret;

	ret = regionfs_write_fill(iocb, iter, region, again, &len);
	if (ret)
		return ret;
	iov_iter_truncate(iter, len);
	allowed = len;
	ret = regionfs_write_once(iocb, iter, region, &allowed);
	if (allowed < len)
		count = allowed;	/* no round tries again what the first was told: one signal is enough */
	iov_iter_reexpand(iter, count - max_t(ssize_t, ret, 0));
	return ret;
}

/* One round: wait until one may write, and how much; write that. */
static ssize_t regionfs_write_round(struct kiocb *iocb, struct iov_iter *iter, struct regionfs_region *region, bool again)
{
	struct regionfs_turn turn = { .pos = iocb->ki_pos, .len = iov_iter_count(iter) };
	size_t count = turn.len, done;
	ssize_t ret;

	if (iocb->ki_flags & IOCB_APPEND)
		turn.pos = i_size_read(file_inode(iocb->ki_filp));
	ret = regionfs_region_wait(region, REGIONFS_WANT_WRITE, TASK_INTERRUPTIBLE);
	if (!ret)
		ret = regionfs_rate_wait(region, &turn, TASK_INTERRUPTIBLE);
	if (ret)
		return ret;
	iov_iter_truncate(iter, turn.len);
	ret = regionfs_write_turn(iocb, iter, region, again);
	done = max_t(ssize_t, ret, 0);
	regionfs_rate_refund(region, &turn, done);
	if (iov_iter_count(iter) == turn.len - done)	/* else the file's limits allow no more */
		iov_iter_reexpand(iter, count - done);
	return ret;
}

static ssize_t regionfs_write_buffered(struct kiocb *iocb, struct iov_iter *iter, struct regionfs_region *region)
{
	ssize_t done = 0, ret = 0;

	do {
		ret = regionfs_write_round(iocb, iter, region, ret == -REGIONFS_RETRY);
		if (ret > 0)
			done += ret;
		if (ret > 0 || ret == -EAGAIN)
			balance_dirty_pages_ratelimited(iocb->ki_filp->f_mapping);
		if (fatal_signal_pending(current) || (done && regionfs_write_at_limit(iocb)))
			break;
	} while (iov_iter_count(iter) && (ret > 0 || ret == -REGIONFS_RETRY || ret == -EAGAIN));
	if (ret == -EAGAIN || ret == -REGIONFS_RETRY)
		ret = -EINTR;
	return done ?: ret;
}

ssize_t regionfs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct regionfs_region *region = regionfs_region_of(file_inode(iocb->ki_filp));
	ssize_t ret;

	if (!iov_iter_count(from))
		return 0;
	if (regionfs_region_is_helper(region))
		return -EDEADLK;
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	ret = iocb->ki_flags & IOCB_DIRECT ? regionfs_direct_write(iocb, from) :
					     regionfs_write_buffered(iocb, from, region);
	return ret > 0 ? generic_write_sync(iocb, ret) : ret;
}

/* Zeroes what a mapping may have left in the cached page between @size, where the file ends, and the page's end. */
int regionfs_zero_tail(struct inode *inode, loff_t size)
{
	struct folio *folio;
	size_t from;

	if (!offset_in_page(size))
		return 0;
	folio = regionfs_get_cached_folio(inode->i_mapping, size >> PAGE_SHIFT);
	if (!folio)
		return 0;
	if (folio_lock_killable(folio)) {
		folio_put(folio);
		return -EINTR;
	}
	if (folio->mapping == inode->i_mapping && folio_test_uptodate(folio)) {
		from = size - folio_pos(folio);
		folio_zero_range(folio, from, PAGE_SIZE - offset_in_page(from));
	}
	folio_unlock(folio);
	folio_put(folio);
	return 0;
}

static ssize_t regionfs_zero_locked(struct file *file, loff_t pos, loff_t end)
{
	struct inode *inode = file_inode(file);
	struct kvec vec = { page_address(ZERO_PAGE(0)) };
	struct iov_iter iter;
	int err;

	end = min(end, i_size_read(inode));
	if (pos >= end)
		return 0;
	vec.iov_len = end - pos;
	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, end - pos);
	err = file_modified(file);
	return err ?: regionfs_write_step(inode, pos, end - pos, &iter);
}

static ssize_t regionfs_zero_once(struct file *file, struct regionfs_region *region, loff_t pos, loff_t end)
{
	struct inode *inode = file_inode(file);
	ssize_t ret;

	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	ret = regionfs_region_enter(region, REGIONFS_WANT_WRITE);
	if (!ret) {
		ret = regionfs_zero_locked(file, pos, end);
		regionfs_region_exit(region, REGIONFS_WANT_WRITE);
	}
	inode_unlock(inode);
	return ret;
}

/* Writes zeroes to [@pos, @end), within one page, as far as the file reaches then: it never grows by it. */
int regionfs_zero_bytes(struct file *file, loff_t pos, loff_t end)
{
	struct regionfs_region *region = regionfs_region_of(file_inode(file));
	ssize_t ret;

	if (pos >= end)
		return 0;
	do {
		ret = regionfs_region_wait(region, REGIONFS_WANT_WRITE, TASK_INTERRUPTIBLE);
		if (!ret)
			ret = regionfs_fill_page(file, region, pos >> PAGE_SHIFT);
		if (!ret)
			ret = regionfs_zero_once(file, region, pos, end);
	} while (ret == -REGIONFS_RETRY || ret == -EAGAIN);
	return ret < 0 ? ret : 0;
}
