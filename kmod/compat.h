/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place that asks for a kernel version. The rest is written for the newest kernel; what older
 * ones lack is made up here.
 */
#ifndef REGIONFS_COMPAT_H
#define REGIONFS_COMPAT_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/task_stack.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/version.h>
#include <net/genetlink.h>

#ifdef CONFIG_X86_64
#include <asm/syscall.h>
#include <asm/unistd.h>
#include <linux/compat.h>
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#include <linux/io_uring/cmd.h>
#define REGIONFS_URING_CANCEL IO_URING_F_CANCEL
#else
#include <linux/io_uring.h>
#define REGIONFS_URING_CANCEL 0	/* teardown goes through the device's ->flush */
static inline void io_uring_cmd_mark_cancelable(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
}
#endif

/* The 16 bytes of sqe->cmd; shared with user space: read each field once. */
static inline const void *regionfs_uring_payload(struct io_uring_cmd *cmd)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return io_uring_sqe_cmd(cmd->sqe);
#else
	return cmd->cmd;
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define regionfs_idmap mnt_idmap
#define regionfs_nop_idmap (&nop_mnt_idmap)
#else
#define regionfs_idmap user_namespace
#define regionfs_nop_idmap (&init_user_ns)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define regionfs_fd_file(f) fd_file(f)
#else
#define regionfs_fd_file(f) ((f).file)
#endif

/* For dentry_open(): fanotify neither hears of nor decides on what is read. */
#define REGIONFS_O_NONOTIFY __FMODE_NONOTIFY

/* NULL when there is none. */
static inline struct folio *regionfs_get_cached_folio(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(mapping, index);

	return IS_ERR_OR_NULL(folio) ? NULL : folio;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define fgf_t int
#endif

static inline struct folio *regionfs_get_folio(struct address_space *mapping, pgoff_t index, fgf_t fgp,
					       gfp_t gfp)
{
	struct folio *folio = __filemap_get_folio(mapping, index, fgp, gfp);

	return folio ?: ERR_PTR(-ENOMEM);
}

static inline void regionfs_mapping_set_orders(struct address_space *mapping, unsigned int max)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	mapping_set_folio_order_range(mapping, 0, max);
#else
	mapping_set_large_folios(mapping);
#endif
}

/*
 * Pages that the page cache may read ahead in one window: a multiple of a request, or folios get short. Where orders are not bounded above, this bounds
 * them; several windows are asked for there (regionfs_window_next()).
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define REGIONFS_WINDOW_ONE	(SZ_8M >> PAGE_SHIFT)
#else
#define REGIONFS_WINDOW_ONE	(SZ_1M >> PAGE_SHIFT)
#endif

/* How often the pages of a file's folio are mapped, in all. */
static inline int regionfs_folio_mapcount(struct folio *folio)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	return folio_mapcount(folio);
#else
	long i, nr = folio_nr_pages(folio);
	int entire, count = 0;

	if (!folio_test_large(folio))
		return atomic_read(&folio->_mapcount) + 1;
	entire = folio_entire_mapcount(folio);
	for (i = 0; i < nr; i++)
		count += atomic_read(&folio_page(folio, i)->_mapcount) + 1;
	return count + entire - entire * (int)nr;
#endif
}

static inline void regionfs_release_fault_lock(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	release_fault_lock(vmf);
#else
	mmap_read_unlock(vmf->vma->vm_mm);
#endif
}

static inline void regionfs_inode_init_times(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	simple_inode_init_ts(inode);
#else
	inode->i_atime = inode->i_mtime = inode->i_ctime = current_time(inode);
#endif
}

static inline void regionfs_inode_touch(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
#else
	inode->i_mtime = inode->i_ctime = current_time(inode);
#endif
}

static inline s64 regionfs_inode_mtime_ns(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	struct timespec64 ts = inode_get_mtime(inode);
#else
	struct timespec64 ts = inode->i_mtime;
#endif
	return timespec64_to_ns(&ts);
}

static inline void regionfs_fillattr(struct regionfs_idmap *idmap, u32 mask, struct inode *inode,
				     struct kstat *stat)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	generic_fillattr(idmap, mask, inode, stat);
#else
	generic_fillattr(idmap, inode, stat);
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define regionfs_filemap_splice_read filemap_splice_read
#define REGIONFS_SPLICE_BY_READ false
#else
#define regionfs_filemap_splice_read generic_file_splice_read
#define REGIONFS_SPLICE_BY_READ true	/* ->read_iter waits and counts itself in */
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define REGIONFS_AOPS_ERROR_REMOVE .error_remove_folio = generic_error_remove_folio
#else
#define REGIONFS_AOPS_ERROR_REMOVE .error_remove_page = generic_error_remove_page
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
/* What iov_iter_extract_pages() does for a user's buffer. */
static inline ssize_t regionfs_iter_pin(struct iov_iter *iter, struct page **pages, size_t max, unsigned int maxpages,
					size_t *offset)
{
	unsigned long addr;
	struct iovec seg;
	size_t len;
	int nr;

	if (iter_is_ubuf(iter)) {
		seg = (struct iovec){ iter->ubuf + iter->iov_offset, iter->count };
	} else {
		iov_iter_advance(iter, 0);	/* past empty segments */
		seg = iov_iter_iovec(iter);
	}
	addr = (unsigned long)seg.iov_base;
	len = min(max, seg.iov_len);
	*offset = offset_in_page(addr);
	len = min_t(size_t, len, maxpages * PAGE_SIZE - *offset);
	nr = pin_user_pages_fast(addr & PAGE_MASK, DIV_ROUND_UP(*offset + len, PAGE_SIZE),
				 iov_iter_rw(iter) == READ ? FOLL_WRITE : 0, pages);
	if (nr <= 0)
		return nr ?: -EFAULT;
	len = min_t(size_t, len, nr * PAGE_SIZE - *offset);
	iov_iter_advance(iter, len);
	return len;
}
#endif

/*
 * Pins the pages of up to @max bytes of a user's buffer; sets *@pinned to whether they are to be released with
 * unpin_user_page() rather than put_page(). Returns bytes.
 */
static inline ssize_t regionfs_iter_pages(struct iov_iter *iter, struct page **pages, size_t max,
					  unsigned int maxpages, size_t *offset, bool *pinned)
{
	*pinned = user_backed_iter(iter);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	if (*pinned)
		return iov_iter_extract_pages(iter, &pages, max, maxpages, 0, offset);
#else
	if (*pinned)
		return regionfs_iter_pin(iter, pages, max, maxpages, offset);
#endif
	return iov_iter_get_pages2(iter, pages, max, maxpages, offset);
}

/*
 * ->sync_fs cannot tell its callers apart: is this syncfs(2) of a file of @sb, which may wait for as long as it takes? Not of one of a file system on top
 * of ours, which holds its own s_umount over it. Elsewhere than on 64-bit x86 it is taken for sync(2).
 */
static inline bool regionfs_in_syncfs(struct super_block *sb)
{
	bool ours = false;
#ifdef CONFIG_X86_64
	unsigned long args[6];
	struct file *file;

	if (current->flags & PF_KTHREAD || in_compat_syscall() || syscall_get_nr(current, task_pt_regs(current)) != __NR_syncfs)
		return false;
	syscall_get_arguments(current, task_pt_regs(current), args);
	file = fget(args[0]);
	ours = file && file->f_path.dentry->d_sb == sb;
	if (file)
		fput(file);
#endif
	return ours;
}

static inline struct nlattr **regionfs_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return genl_dumpit_info(cb)->info.attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/* The kernel has 63 bytes for a device's name, and prints what it is given as a format. regiond knows what is made of a name (dirty-share.c). */
static inline int regionfs_set_bdi_name(struct super_block *sb, const char *name, u64 id)
{
	char plain[38];

	strscpy(plain, name, sizeof(plain));
	strreplace(plain, '%', '_');
	return super_setup_bdi_name(sb, "regionfs-%s-%llx", plain, id);
}

#endif /* REGIONFS_COMPAT_H */
