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
	folio_unlock(folio);
	folio_put(folio);
}

/* Write-back keeps the mapping stable until it is ended, so the folio is dirtied first. */
static void regionfs_finish_write(struct regionfs_region *region, struct folio *folio, int error)
{
	if (error)
		filemap_dirty_folio(folio->mapping, folio);
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

static void regionfs_finish_direct(struct regionfs_request *req, int error)
{
	u32 i;

	for (i = 0; i < req->nr_segs; i++) {
		struct page *page = req->segs[i].page;

		if (req->dirty_pages && !error)
			set_page_dirty_lock(page);
		if (req->pinned)
			unpin_user_page(page);
		else
			put_page(page);
	}
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
		req->nr_segs = 0;
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
		if (req->op == REGIONFS_OP_READ)
			regionfs_finish_read(folio, err);
		else
			regionfs_finish_write(region, folio, err);
	}
	req->nr_segs = 0;
}
