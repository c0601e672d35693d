// SPDX-License-Identifier: GPL-2.0
/*
 * STORE: the helper puts pulled bytes into the page cache before anyone asks. It never waits for a folio or a lock
 * that a program may hold, and never touches a folio that is uptodate, dirty or being read.
 *
 * It takes memory that is free, and no other: reclaim would hold the helper's thread up, which has faults to answer and write-back to do,
 * for the sake of bytes that nobody has asked for, and push out some that were. kswapd is woken, and makes room for later ones; the
 * reserves stay untouched, and a full cgroup is no reason to kill. The bytes are charged to the helper's cgroup. Where that has a limit
 * (memory.max) which clean cache has filled, nobody reclaims for a STORE: REGIONFS_STAT_STORE_SHORT then grows with each.
 */
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "request.h"

#define REGIONFS_STORE_TRIES 16

int regionfs_token(struct regionfs_instance *inst, u64 addr)
{
	struct regionfs_region *region;
	struct regionfs_token t;

	if (copy_from_user(&t, u64_to_user_ptr(addr), sizeof(t)))
		return -EFAULT;
	if (t.reserved)
		return -EINVAL;
	region = regionfs_region_find(inst, t.region);
	if (!region)
		return -ENOENT;
	t.token = regionfs_change_token(region);
	regionfs_region_put(region);
	return copy_to_user(u64_to_user_ptr(addr), &t, sizeof(t)) ? -EFAULT : 0;
}

static gfp_t regionfs_store_gfp(struct address_space *mapping)
{
	return (mapping_gfp_mask(mapping) & ~__GFP_DIRECT_RECLAIM) | __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN;
}

/* A folio of the store's own, not in the page cache yet. As large as alignment allows. */
static struct folio *regionfs_store_alloc(struct address_space *mapping, pgoff_t index, size_t len)
{
	unsigned int order = 0;
	gfp_t gfp = regionfs_store_gfp(mapping);
	struct folio *folio;

	if (len >= 2 * PAGE_SIZE)
		order = min_t(unsigned int, ilog2(len >> PAGE_SHIFT), REGIONFS_MAX_ORDER);
	if (index)
		order = min_t(unsigned int, order, __ffs(index));
	if (order == 1)
		order = 0;
	folio = filemap_alloc_folio(gfp, order);
	return folio || !order ? folio : filemap_alloc_folio(gfp, 0);
}

/* The folio is not visible yet, so the copy may fault and sleep. */
static int regionfs_store_copy(struct folio *folio, const struct regionfs_store *s, u64 done)
{
	size_t size = folio_size(folio), len = min_t(size_t, size, s->length - done), at, step;

	for (at = 0; at < size; at += PAGE_SIZE) {
		void *kaddr = kmap_local_folio(folio, at);
		unsigned long left = 0;

		step = at < len ? min_t(size_t, len - at, PAGE_SIZE) : 0;
		if (step && s->addr)
			left = copy_from_user(kaddr, u64_to_user_ptr(s->addr + done + at), step);
		else
			step = 0;
		memset(kaddr + step, 0, PAGE_SIZE - step);
		kunmap_local(kaddr);
		if (left)
			return -EFAULT;
	}
	return 0;
}

static bool regionfs_store_stale(struct regionfs_region *region, pgoff_t index, size_t pages, u64 token)
{
	bool pending;

	spin_lock(&region->inst->lock);
	pending = regionfs_order_pending(region, index, index + pages - 1);
	spin_unlock(&region->inst->lock);
	return pending || regionfs_changed_since(region, index, token) ||
	       regionfs_changed_since(region, index + pages - 1, token);
}

/*
 * Enters a filled folio. The token is checked with the folio locked in the page cache and the invalidate_lock shared: who
 * changes the source later finds the folio and drops or rewrites it.
 */
static int regionfs_store_enter(struct regionfs_region *region, struct address_space *mapping, struct folio *folio,
				pgoff_t index, u64 token)
{
	int err;

	if (!filemap_invalidate_trylock_shared(mapping))
		return -EAGAIN;
	err = READ_ONCE(region->closing) ? -EAGAIN : 0;
	if (!err)
		err = filemap_add_folio(mapping, folio, index, regionfs_store_gfp(mapping));
	if (err)
		goto unlock;
	if (regionfs_store_stale(region, index, folio_nr_pages(folio), token) ||
	    ((loff_t)index << PAGE_SHIFT) >= i_size_read(mapping->host)) {
		err = -ESTALE;	/* it stays, not uptodate, and is read like any other */
	} else {
		folio_mark_uptodate(folio);
	}
	folio_unlock(folio);
unlock:
	filemap_invalidate_unlock_shared(mapping);
	return err;
}

/* One folio's worth. Bytes passed over; *@stored grows by those that became present. -ESTALE, -EAGAIN, -ENOMEM, -EFAULT. */
static ssize_t regionfs_store_step(struct regionfs_region *region, struct address_space *mapping,
				   const struct regionfs_store *s, u64 done, u64 *stored)
{
	pgoff_t index = (s->offset + done) >> PAGE_SHIFT;
	struct folio *folio = regionfs_get_cached_folio(mapping, index);
	ssize_t size;
	int err;

	if (folio) {
		size = folio_size(folio) - (s->offset + done - folio_pos(folio));
		folio_put(folio);
		return size;
	}
	folio = regionfs_store_alloc(mapping, index, s->length - done);
	if (!folio)
		return -ENOMEM;
	size = folio_size(folio);
	err = regionfs_store_copy(folio, s, done);
	if (!err)
		err = regionfs_store_enter(region, mapping, folio, index, s->token);
	folio_put(folio);
	if (err == -EEXIST)
		return PAGE_SIZE;
	if (err)
		return err;
	*stored += min_t(u64, size, s->length - done);
	return size;
}

/*
 * Faults may have found a folio locked in the moment that it was entered. They are woken once, and not for each folio: most wait for
 * something else.
 */
static int regionfs_store_range(struct regionfs_region *region, struct address_space *mapping,
				const struct regionfs_store *s)
{
	u64 done = 0, stored = 0;
	ssize_t n = 0;

	while (done < s->length) {
		n = regionfs_store_step(region, mapping, s, done, &stored);
		if (n < 0)
			break;
		done += n;
		cond_resched();
	}
	regionfs_region_wake(region);
	regionfs_stat_add(region, REGIONFS_STAT_STORED_BYTES, stored);
	if (n == -ENOMEM)
		regionfs_stat_add(region, REGIONFS_STAT_STORE_SHORT, s->length - done);
	return n < 0 && n != -EAGAIN && n != -ENOMEM ? n : stored;
}

static int regionfs_store_check(struct regionfs_region *region, struct inode *inode, const struct regionfs_store *s)
{
	u64 size = i_size_read(inode);

	if (regionfs_region_test(region, REGIONFS_R_MOVED) || s->epoch != READ_ONCE(region->epoch))
		return -ESTALE;
	if (s->offset >= size || s->length > round_up(size, PAGE_SIZE) - s->offset)
		return -ERANGE;
	if (s->length & ~PAGE_MASK && s->offset + s->length != size)
		return -EINVAL;
	return 0;
}

/* Returns bytes that became present, or -ESTALE and the like: see the contract. */
int regionfs_store(struct regionfs_instance *inst, u64 addr, u32 max_request)
{
	struct regionfs_region *region;
	struct regionfs_store s;
	struct inode *inode;
	int ret;

	if (copy_from_user(&s, u64_to_user_ptr(addr), sizeof(s)))
		return -EFAULT;
	if (s.flags)
		return -EOPNOTSUPP;
	if (!s.length || s.length > max_request || s.offset & ~PAGE_MASK || s.offset > LLONG_MAX - s.length)
		return -EINVAL;
	region = regionfs_region_find(inst, s.region);
	if (!region)
		return -ENOENT;
	inode = regionfs_region_inode(region);
	ret = inode ? regionfs_store_check(region, inode, &s) : -ENOENT;
	if (!ret)
		ret = regionfs_store_range(region, inode->i_mapping, &s);
	regionfs_region_iput(region, inode);
	regionfs_region_put(region);
	return ret;
}
