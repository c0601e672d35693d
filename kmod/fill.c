// SPDX-License-Identifier: GPL-2.0
/*
 * Filling folios: ->read_folio and ->readahead.
 *
 * Readahead is never waited for by itself. read_folio waits for its own request, killably, holding the folio lock and the
 * shared invalidate_lock; so it never begins when it would have to wait for more than an answer: with
 * no helper, a locked region or a truncate under way it unlocks the folio and returns -REGIONFS_RETRY, and read(), fault and
 * write wait outside. A request that was detached returns AOP_TRUNCATED_PAGE: the caller looks again.
 */
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include "request.h"

static struct regionfs_part *regionfs_part_new(struct regionfs_region *region, struct folio *folio, u32 max)
{
	struct regionfs_part *part = mempool_alloc(region->inst->parts, GFP_NOFS);

	atomic_set(&part->left, DIV_ROUND_UP(folio_size(folio), max));
	part->error = 0;
	return part;
}

/* The pieces of @folio that were not submitted fail, so that the last that was unlocks it. */
static void regionfs_read_fail(struct regionfs_region *region, struct folio *folio, struct regionfs_part *part, u32 left)
{
	if (part) {
		WRITE_ONCE(part->error, -ENOMEM);
		if (!atomic_sub_and_test(left, &part->left))
			return;
		mempool_free(part, region->inst->parts);
	}
	folio_unlock(folio);
	folio_put(folio);
}

/* Adds a locked folio to what is to be read; takes over the caller's reference. -ENOMEM: it was unlocked. */
static int regionfs_read_add(struct regionfs_builder *b, struct folio *folio)
{
	size_t size = folio_size(folio), at;
	struct regionfs_part *part = NULL;

	if (size > b->max) {
		regionfs_builder_flush(b);	/* it may hold the last part of the reserve */
		part = regionfs_part_new(b->region, folio, b->max);
	}
	for (at = 0; at < size; at += b->max) {
		if (!regionfs_builder_add(b, folio, at, min_t(size_t, size - at, b->max), part))
			continue;
		regionfs_read_fail(b->region, folio, part, DIV_ROUND_UP(size - at, b->max));
		return -ENOMEM;
	}
	return 0;
}

static struct regionfs_builder regionfs_read_builder(struct regionfs_region *region, struct inode *inode, u16 flags)
{
	return (struct regionfs_builder){
		.region = region, .op = REGIONFS_OP_READ, .flags = flags, .gfp = GFP_NOFS,
		.max = READ_ONCE(region->inst->max_request), .size = i_size_read(inode),
	};
}

/* Is someone waiting for the front of this window, or is it all ahead of need? */
static u16 regionfs_readahead_flags(struct readahead_control *rac)
{
	const struct file_ra_state *ra = rac->ra;

	return ra && readahead_index(rac) == ra->start && ra->size && ra->size == ra->async_size ? 0 : REGIONFS_REQ_DEMAND;
}

void regionfs_readahead(struct readahead_control *rac)
{
	struct inode *inode = rac->mapping->host;
	struct regionfs_region *region = regionfs_region_of(inode);
	struct regionfs_builder b;
	struct folio *folio;

	if (regionfs_region_may(region, REGIONFS_WANT_HELPER))
		return;
	b = regionfs_read_builder(region, inode, regionfs_readahead_flags(rac));
	if (!b.flags && regionfs_local_ahead(region, rac))
		return;
	while ((folio = __readahead_folio(rac))) {
		if (regionfs_local_read(region, folio, b.size))
			folio_put(folio);
		else if (regionfs_read_add(&b, folio))
			break;
	}
	regionfs_builder_flush(&b);
}

/* Asks the helper for @nr locked folios, where they are not NULL; takes over them and the caller's references. The inode stays by them. */
void regionfs_read_ahead(struct inode *inode, struct folio **folio, unsigned int nr)
{
	struct regionfs_builder b = regionfs_read_builder(regionfs_region_of(inode), inode, 0);
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (folio[i])
			regionfs_read_add(&b, folio[i]);
	regionfs_builder_flush(&b);
}

/* Requests that the largest folio can take: it has a piece in each. */
#define REGIONFS_READ_PARTS	((REGIONFS_BLOCK_PAGES << PAGE_SHIFT) / REGIONFS_REQUEST_MIN)

/* Waits for all of them, or until killed. An error that the helper gave comes before "look again". */
static int regionfs_read_wait(struct regionfs_request **reqs, u32 nr)
{
	int err = 0, e;
	u32 i;

	for (i = 0; i < nr; i++) {
		e = err == -EINTR ? err : regionfs_request_wait(reqs[i]);
		if (!err || err == -REGIONFS_RETRY)
			err = e ?: err;
		regionfs_request_put(reqs[i]);
	}
	return err == -REGIONFS_RETRY ? AOP_TRUNCATED_PAGE : err;
}

static int regionfs_read_one(struct regionfs_builder *b, struct folio *folio)
{
	struct regionfs_request *reqs[REGIONFS_READ_PARTS];
	u64 since;
	int err, e;

	if (WARN_ON_ONCE(DIV_ROUND_UP(folio_size(folio), b->max) > ARRAY_SIZE(reqs))) {
		folio_unlock(folio);
		return -EIO;
	}
	b->watch = reqs;
	folio_get(folio);
	err = regionfs_read_add(b, folio);
	regionfs_builder_flush(b);
	since = ktime_get_ns();
	e = regionfs_read_wait(reqs, b->nr_watch);
	regionfs_waited(b->region, since);
	return err ?: e;
}

/*
 * Starts to read a locked folio of one page, if it has to be; takes over its lock. The request, counted, or NULL: there is nothing to wait for.
 * The invalidate_lock is held, as by readahead.
 */
struct regionfs_request *regionfs_read_start(struct address_space *mapping, struct folio *folio)
{
	struct regionfs_region *region = regionfs_region_of(mapping->host);
	loff_t size = i_size_read(mapping->host);
	struct regionfs_request *req;

	if (folio->mapping != mapping || folio_test_uptodate(folio) || folio_test_large(folio)) {
		folio_unlock(folio);
		return NULL;
	}
	folio_clear_checked(folio);
	if (regionfs_local_read(region, folio, size))
		return NULL;
	req = regionfs_request_alloc(region, REGIONFS_OP_READ, GFP_NOFS);
	if (!req) {
		folio_unlock(folio);
		return NULL;
	}
	BUILD_BUG_ON(REGIONFS_REQUEST_MIN < PAGE_SIZE);	/* one request is all of it */
	req->pos = folio_pos(folio);
	req->flags = REGIONFS_REQ_DEMAND;
	folio_get(folio);
	regionfs_request_add(req, folio_page(folio, 0), 0, PAGE_SIZE, NULL);	/* there is room for the first */
	regionfs_request_submit_read(regionfs_request_get(req), size);
	return req;
}

int regionfs_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct regionfs_region *region = regionfs_region_of(inode);
	struct regionfs_builder b;
	int err = regionfs_region_may(region, REGIONFS_WANT_HELPER);

	if (!err) {
		b = regionfs_read_builder(region, inode, REGIONFS_REQ_DEMAND);
		return regionfs_local_read(region, folio, b.size) ? 0 : regionfs_read_one(&b, folio);
	}
	if (err == -EAGAIN) {
		spin_lock(&region->inst->lock);
		region->retry_seq++;
		spin_unlock(&region->inst->lock);
		err = -REGIONFS_RETRY;
	}
	folio_unlock(folio);
	return err;
}

/* One attempt of the below: 0, AOP_TRUNCATED_PAGE or -REGIONFS_RETRY to try again. */
static int regionfs_fill_try(struct file *file, struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = regionfs_get_folio(mapping, index, FGP_CREAT | FGP_FOR_MMAP, mapping_gfp_mask(mapping));
	int err = 0;

	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (folio_test_uptodate(folio))
		goto put;
	err = folio_lock_killable(folio);
	if (err)
		goto put;
	if (folio->mapping == mapping && !folio_test_uptodate(folio)) {
		err = regionfs_read_folio(file, folio);
		goto put;
	}
	err = folio->mapping == mapping ? 0 : AOP_TRUNCATED_PAGE;
	folio_unlock(folio);
put:
	folio_put(folio);
	return err;
}

/*
 * Makes the page at @index uptodate; waits killably, without locks, for whatever it takes. It may be gone again when
 * this returns 0.
 */
int regionfs_fill_page(struct file *file, struct regionfs_region *region, pgoff_t index)
{
	struct address_space *mapping = file->f_mapping;
	int err;

	do {
		err = regionfs_region_wait(region, REGIONFS_WANT_HELPER, TASK_KILLABLE);
		if (err)
			return err;
		filemap_invalidate_lock_shared(mapping);
		err = regionfs_fill_try(file, mapping, index);
		filemap_invalidate_unlock_shared(mapping);
	} while (err == AOP_TRUNCATED_PAGE || err == -REGIONFS_RETRY);
	return err;
}
