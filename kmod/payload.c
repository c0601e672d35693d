// SPDX-License-Identifier: GPL-2.0
/*
 * The bytes of a request: copied between folios and the helper's memory without ever sleeping (the caller faults the
 * helper's pages in and tries again), and what becomes of the folios when a request ends.
 */
#include <linux/highmem.h>
#include <linux/uaccess.h>
#include <linux/writeback.h>
#include "request.h"

/* One run within a page, or within a folio where all memory is mapped. */
static unsigned long regionfs_copy_run(struct page *page, u32 offset, u32 len, u64 addr, bool to_user)
{
	void *kaddr = kmap_local_page(page) + offset;
	void __user *uaddr = u64_to_user_ptr(addr);
	unsigned long left;

	pagefault_disable();
	if (to_user)
		left = copy_to_user(uaddr, kaddr, len);
	else if (len == PAGE_SIZE)
		left = copy_from_user(kaddr, uaddr, PAGE_SIZE);	/* a constant length is not checked against slab and stack, which costs */
	else
		left = copy_from_user(kaddr, uaddr, len);
	pagefault_enable();
	kunmap_local(kaddr);
	return left;
}

static int regionfs_copy_seg(const struct regionfs_seg *seg, u32 len, u64 addr, bool to_user)
{
	u32 step, done;

	if (!IS_ENABLED(CONFIG_HIGHMEM))
		return regionfs_copy_run(seg->page, seg->offset, len, addr, to_user) ? -EFAULT : 0;
	for (done = 0; done < len; done += step) {
		u32 at = seg->offset + done;

		step = min_t(u32, len - done, PAGE_SIZE - offset_in_page(at));
		if (regionfs_copy_run(nth_page(seg->page, at >> PAGE_SHIFT), offset_in_page(at), step, addr + done,
				      to_user))
			return -EFAULT;
	}
	return 0;
}

static void regionfs_zero_seg(const struct regionfs_seg *seg, u32 from)
{
	u32 at = seg->offset + from, end = seg->offset + seg->len;

	while (at < end) {
		u32 step = min_t(u32, end - at, PAGE_SIZE - offset_in_page(at));

		memzero_page(nth_page(seg->page, at >> PAGE_SHIFT), offset_in_page(at), step);
		at += step;
	}
}

/* Copies a WRITE's bytes out; -EFAULT when a page of the helper's is not there now. */
int regionfs_payload_to_user(struct regionfs_request *req, u64 addr)
{
	u32 i;
	int err;

	for (i = 0; i < req->nr_segs; i++) {
		err = regionfs_copy_seg(&req->segs[i], req->segs[i].len, addr, true);
		if (err)
			return err;
		addr += req->segs[i].len;
	}
	return 0;
}

/*
 * Fills a READ's folios: req->len bytes from @addr (zeroes when it is 0), zeroes from there to the end of the last
 * folio. -EFAULT as above; it is begun again then.
 */
int regionfs_payload_from_user(struct regionfs_request *req, u64 addr)
{
	u64 left = req->len;
	u32 i, n;
	int err;

	for (i = 0; i < req->nr_segs; i++) {
		const struct regionfs_seg *seg = &req->segs[i];

		n = addr ? min_t(u64, seg->len, left) : 0;
		err = n ? regionfs_copy_seg(seg, n, addr, false) : 0;
		if (err)
			return err;
		if (n < seg->len)
			regionfs_zero_seg(seg, n);
		addr += n;
		left -= n;
	}
	return 0;
}

static void regionfs_finish_read(struct folio *folio, int error)
{
	flush_dcache_folio(folio);
	if (!error)
		folio_mark_uptodate(folio);
	else if (error != -REGIONFS_RETRY && !folio_test_large(folio))
		folio_set_checked(folio);	/* regionfs_read_has_failed() */
	folio_unlock(folio);
	folio_put(folio);
}

/* Write-back keeps the mapping stable until it is ended, so the folio is dirtied first. */
static void regionfs_finish_write(struct regionfs_region *region, struct folio *folio, int error)
{
	if (error)
		filemap_dirty_folio(folio->mapping, folio);
	if (error == -REGIONFS_RETRY)
		atomic64_inc(&region->takeback_seq);	/* before who waits for the end of write-back goes on */
	folio_end_writeback(folio);
	folio_put(folio);
}

/* True when this was the last, or only, part of its folio; *@error is then what became of the whole. */
static bool regionfs_finish_part(struct regionfs_region *region, struct regionfs_part *part, int *error)
{
	if (!part)
		return true;
	if (*error)
		WRITE_ONCE(part->error, *error);
	if (!atomic_dec_and_test(&part->left))
		return false;
	*error = READ_ONCE(part->error);
	mempool_free(part, region->inst->parts);
	return true;
}

static void regionfs_direct_release(struct regionfs_request *req)
{
	u32 i;

	for (i = 0; i < req->nr_segs; i++) {
		if (req->pinned)
			unpin_user_page(req->segs[i].page);
		else
			put_page(req->segs[i].page);
	}
	req->nr_segs = 0;
}

/* Pages that were cleaned while the READ was on its way. */
void regionfs_redirty_work(struct work_struct *work)
{
	struct regionfs_instance *inst = container_of(work, struct regionfs_instance, redirty);
	struct regionfs_request *req;
	u32 i;

	for (;;) {
		spin_lock(&inst->lock);
		req = list_first_entry_or_null(&inst->redirty_list, struct regionfs_request, queue);
		if (req)
			list_del_init(&req->queue);
		spin_unlock(&inst->lock);
		if (!req)
			return;
		for (i = 0; i < req->nr_segs; i++)
			set_page_dirty_lock(req->segs[i].page);
		regionfs_direct_release(req);
		regionfs_request_put(req);
	}
}

static bool regionfs_direct_cleaned(const struct regionfs_request *req)
{
	u32 i;

	for (i = 0; i < req->nr_segs; i++)
		if (!PageDirty(req->segs[i].page))
			return true;
	return false;
}

/* In the helper's thread: who holds the lock of a page may wait for the helper, so dirtying is left to a work. */
static void regionfs_finish_direct(struct regionfs_request *req, int error)
{
	struct regionfs_instance *inst = req->region->inst;

	if (error || !req->dirty_pages || !regionfs_direct_cleaned(req)) {
		regionfs_direct_release(req);
		return;
	}
	regionfs_request_get(req);
	spin_lock(&inst->lock);
	list_add_tail(&req->queue, &inst->redirty_list);
	spin_unlock(&inst->lock);
	queue_work(regionfs_op_wq, &inst->redirty);
}

/* Which pages a WRITE that failed leaves dirty: set before any of its folios ends write-back. */
static void regionfs_finish_bits(struct regionfs_request *req, int error)
{
	struct regionfs_region *region = req->region;

	if (error)
		regionfs_dirty_set(region, req->pos >> PAGE_SHIFT,
				   DIV_ROUND_UP(req->pos + req->len, PAGE_SIZE) - (req->pos >> PAGE_SHIFT));
	else
		regionfs_changed(region, req->pos, req->len);
}

/*
 * Gives the folios back: @error 0, what the helper said, or -REGIONFS_RETRY when the request was detached. A WRITE
 * that was not done leaves its range dirty, and records an error once for each that the helper reported.
 */
void regionfs_payload_finish(struct regionfs_request *req, int error)
{
	struct regionfs_region *region = req->region;
	u32 i, nr = req->nr_segs;

	if (!nr)
		return;
	if (req->flags & REGIONFS_REQ_DIRECT) {
		regionfs_finish_direct(req, error);
		if (req->op == REGIONFS_OP_WRITE)
			regionfs_changed(region, req->pos, req->len);
		return;
	}
	if (req->op == REGIONFS_OP_WRITE)
		regionfs_finish_bits(req, error);
	for (i = 0; i < nr; i++) {
		struct folio *folio = page_folio(req->segs[i].page);
		struct address_space *mapping = folio->mapping;
		int err = error;

		if (req->op == REGIONFS_OP_WRITE && error && error != -REGIONFS_RETRY) {
			if (!i)
				mapping_set_error(mapping, error);
			WRITE_ONCE(region->retry_after, (jiffies + HZ) | 1);
		}
		if (!regionfs_finish_part(region, req->segs[i].part, &err))
			continue;
		if (req->op == REGIONFS_OP_READ) {
			regionfs_finish_read(folio, err);
			continue;
		}
		/* an fsync that began after an earlier part had failed, and was said to, waits for this one */
		if (err && !error && err != -REGIONFS_RETRY)
			mapping_set_error(mapping, err);
		regionfs_finish_write(region, folio, err);
	}
	req->nr_segs = 0;
}
