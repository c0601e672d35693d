// SPDX-License-Identifier: GPL-2.0
/* Open files. read, write, mmap, advice; what they do about the helper is in fill.c, write.c, fault.c and direct.c. */
#include <linux/fadvise.h>
#include <linux/pagemap.h>
#include "region.h"

static int regionfs_open(struct inode *inode, struct file *file)
{
	struct regionfs_region *region = regionfs_region_of(inode);
	int err = generic_file_open(inode, file);
	bool first;

	if (err)
		return err;
	if (regionfs_region_test(region, REGIONFS_R_MOVED))
		return -ESTALE;
	if (file->f_mode & FMODE_WRITE && regionfs_region_test(region, REGIONFS_R_READ_ONLY))
		return -EROFS;
	file->f_mode |= FMODE_CAN_ODIRECT;
	first = file->f_mode & FMODE_WRITE && atomic_inc_return(&region->open_writers) == 1;
	if (atomic_inc_return(&region->opens) == 1)
		regionfs_event(region->inst, region, REGIONFS_EVENT_OPENED);
	if (first)
		regionfs_event(region->inst, region, REGIONFS_EVENT_WRITERS);
	return 0;
}

static int regionfs_release(struct inode *inode, struct file *file)
{
	struct regionfs_region *region = regionfs_region_of(inode);

	if (file->f_mode & FMODE_WRITE && atomic_dec_and_test(&region->open_writers))
		regionfs_event(region->inst, region, REGIONFS_EVENT_WRITERS);
	if (atomic_dec_and_test(&region->opens))
		regionfs_event(region->inst, region, REGIONFS_EVENT_CLOSED);
	return 0;
}

/* Does a read at @pos begin where the last one has ended? */
static bool regionfs_goes_on(struct file *file, loff_t pos)
{
	return (pgoff_t)(pos >> PAGE_SHIFT) - (pgoff_t)((u64)file->f_ra.prev_pos >> PAGE_SHIFT) <= 1;
}

/* Looks to the window, and cuts @to off where that has to be done again. */
static void regionfs_read_begin(struct kiocb *iocb, struct iov_iter *to, struct regionfs_region *region)
{
	bool goes_on = regionfs_goes_on(iocb->ki_filp, iocb->ki_pos);
	pgoff_t until = ULONG_MAX;

	regionfs_window_set(iocb->ki_filp, region, goes_on);
	if (goes_on)
		until = regionfs_window_read(iocb->ki_filp, region, iocb->ki_pos >> PAGE_SHIFT);
	if (until <= LLONG_MAX >> PAGE_SHIFT)
		iov_iter_truncate(to, ((loff_t)until << PAGE_SHIFT) - iocb->ki_pos);
}

/* @flags: IOCB_NOWAIT, or 0. */
static ssize_t regionfs_read_some(struct kiocb *iocb, struct iov_iter *to, struct regionfs_region *region, int flags)
{
	size_t count = iov_iter_count(to), cut;
	ssize_t ret;

	if (regionfs_region_enter(region, 0))
		return -REGIONFS_RETRY;
	regionfs_read_begin(iocb, to, region);
	cut = count - iov_iter_count(to);
	flags &= ~iocb->ki_flags;
	iocb->ki_flags |= flags;
	ret = generic_file_read_iter(iocb, to);
	iov_iter_reexpand(to, iov_iter_count(to) + cut);
	iocb->ki_flags &= ~flags;
	regionfs_region_exit(region, 0);
	return ret;
}

static void regionfs_read_wait(struct kiocb *iocb, struct regionfs_region *region, struct folio *folio)
{
	if (!REGIONFS_WINDOW_SEVERAL || !regionfs_goes_on(iocb->ki_filp, iocb->ki_pos) || regionfs_region_enter(region, 0))
		return;
	regionfs_window_wait(iocb->ki_filp, region, folio);
	regionfs_region_exit(region, 0);
}

/* Is the next page being read? Then waits for it, killably, and times that: true. False also when killed. */
static bool regionfs_read_await(struct kiocb *iocb, struct regionfs_region *region)
{
	struct folio *folio = regionfs_get_cached_folio(iocb->ki_filp->f_mapping, iocb->ki_pos >> PAGE_SHIFT);
	bool waited = false, tried;
	u64 since;

	if (!folio)
		return false;
	if (folio_test_locked(folio) && !folio_test_uptodate(folio)) {
		regionfs_read_wait(iocb, region, folio);
		since = ktime_get_ns();
		tried = regionfs_poll_until(region, since, !folio_test_locked(folio));
		waited = !folio_wait_locked_killable(folio);
		regionfs_poll_learn(region, regionfs_waited(region, since), tried);
	}
	folio_put(folio);
	return waited;
}

/*
 * One attempt: bytes, 0 at the end of the file, or an error; -REGIONFS_RETRY after a wait outside of all locks. First what there is, without
 * waiting, which starts readahead where something is not there: so the wait for that is ours, and can be timed. What then remains is
 * read_folio()'s.
 */
static ssize_t regionfs_read_once(struct kiocb *iocb, struct iov_iter *to, struct regionfs_region *region)
{
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	ssize_t ret = nowait ? regionfs_region_may(region, 0) : regionfs_region_wait(region, 0, TASK_INTERRUPTIBLE);

	if (ret)
		return ret;
	ret = regionfs_read_some(iocb, to, region, IOCB_NOWAIT);
	if (ret != -EAGAIN || nowait)
		return ret;
	if (regionfs_read_await(iocb, region))
		return -REGIONFS_RETRY;
	ret = regionfs_read_some(iocb, to, region, 0);
	if (ret != -REGIONFS_RETRY)
		return ret;
	return regionfs_region_wait(region, REGIONFS_WANT_HELPER, TASK_INTERRUPTIBLE) ?: -REGIONFS_RETRY;
}

/* A read is whole, also when only a part of it was cached as the helper went away. */
static ssize_t regionfs_read_buffered(struct kiocb *iocb, struct iov_iter *to, struct regionfs_region *region)
{
	ssize_t done = 0, ret;

	do {
		ret = regionfs_read_once(iocb, to, region);
		if (ret > 0)
			done += ret;
	} while (ret == -REGIONFS_RETRY ||
		 (ret > 0 && iov_iter_count(to) && iocb->ki_pos < i_size_read(file_inode(iocb->ki_filp))));
	return done ?: ret;
}

static ssize_t regionfs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct regionfs_region *region = regionfs_region_of(file_inode(iocb->ki_filp));

	if (regionfs_region_is_helper(region))
		return -EDEADLK;
	if (!(iocb->ki_flags & IOCB_DIRECT))
		return regionfs_read_buffered(iocb, to, region);
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	return regionfs_direct_read(iocb, to);
}

static ssize_t regionfs_splice_read(struct file *in, loff_t *pos, struct pipe_inode_info *pipe, size_t len,
				    unsigned int flags)
{
	struct regionfs_region *region = regionfs_region_of(file_inode(in));
	ssize_t ret;

	if (regionfs_region_is_helper(region))
		return -EDEADLK;
	if (REGIONFS_SPLICE_BY_READ)
		return regionfs_filemap_splice_read(in, pos, pipe, len, flags);
	do {
		ret = regionfs_region_enter(region, 0);
		if (!ret) {
			regionfs_window_set(in, region, regionfs_goes_on(in, *pos));
			ret = regionfs_filemap_splice_read(in, pos, pipe, len, flags);
			regionfs_region_exit(region, 0);
		}
		if (ret == -EAGAIN || ret == -REGIONFS_RETRY)
			ret = regionfs_region_wait(region, REGIONFS_WANT_HELPER, TASK_INTERRUPTIBLE) ?: -REGIONFS_RETRY;
	} while (ret == -REGIONFS_RETRY);
	return ret;
}

static int regionfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct regionfs_region *region = regionfs_region_of(file_inode(file));

	if (regionfs_region_test(region, REGIONFS_R_MOVED))
		return -ESTALE;
	if (regionfs_region_test(region, REGIONFS_R_READ_ONLY) && vma->vm_flags & VM_SHARED && vma->vm_flags & VM_WRITE)
		return -EROFS;
	file_accessed(file);
	vma->vm_ops = &regionfs_vm_ops;
	return 0;
}

static int regionfs_fadvise(struct file *file, loff_t pos, loff_t len, int advice)
{
	loff_t size = i_size_read(file_inode(file)), end;

	if (advice != POSIX_FADV_WILLNEED || len < 0)
		return generic_fadvise(file, pos, len, advice);
	if (pos < 0 || pos >= size)
		return 0;
	end = len && len < size - pos ? pos + len : size;
	regionfs_window_ask(file, regionfs_region_of(file_inode(file)), pos >> PAGE_SHIFT, DIV_ROUND_UP(end, PAGE_SIZE));
	return 0;
}

const struct file_operations regionfs_file_fops = {
	.open		= regionfs_open,
	.release	= regionfs_release,
	.llseek		= generic_file_llseek,
	.read_iter	= regionfs_read_iter,
	.write_iter	= regionfs_write_iter,
	.mmap		= regionfs_mmap,
	.fsync		= regionfs_fsync,
	.fallocate	= regionfs_fallocate,
	.splice_read	= regionfs_splice_read,
	.splice_write	= iter_file_splice_write,
	.fadvise	= regionfs_fadvise,
};
