// SPDX-License-Identifier: GPL-2.0
/*
 * What is read ahead from a LOCAL file, and nobody waits for yet, is copied on another CPU, where there is one: who reads on meanwhile
 * finds it there, or waits for the rest, on the folio's lock, killably, as for any readahead.
 *
 * What local.c says of bytes that are read so holds as in ->readahead: all folios are locked, and the invalidate_lock is shared. It is only tried for, since
 * who has it may be waiting for the folios; then, and where the file can't be used any more, the helper is asked, whose READs have their place
 * in the order. The lock is in the inode, which stays as long as one of its folios is locked: the last one is unlocked after it. Truncate, evict, LOCK wait for the
 * folios, as long as the copying takes that has begun.
 *
 * Lifetime: a work's own, with a reference to the region; it ends by itself, and may outlive everything but the module.
 */
#include <linux/cpumask.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/rt.h>
#include <linux/slab.h>
#include "channel.h"
#include "request.h"

#define REGIONFS_LOCAL_AHEAD_MIN	(SZ_128K >> PAGE_SHIFT)	/* less is copied as soon as it is handed over */

struct regionfs_local_ahead {
	struct work_struct work;
	struct regionfs_region *region;		/* counted */
	struct address_space *mapping;		/* as long as one of the folios is locked */
	unsigned int nr;
	unsigned int left;			/* of them, those that are still locked for us */
	struct folio *folio[];			/* locked, counted; NULL: no more */
};

static void regionfs_local_ahead_let_go(struct regionfs_local_ahead *ahead, unsigned int i)
{
	regionfs_local_unlock(ahead->region, ahead->folio[i]);
	folio_put(ahead->folio[i]);
	ahead->folio[i] = NULL;
	ahead->left--;
}

/*
 * All folios but those that the file did not have, which are left where they are; true: it has the last one. The region is looked at each time: LOCK may be waiting
 * for who waits for one of them.
 */
static bool regionfs_local_ahead_fill(struct regionfs_local_ahead *ahead)
{
	bool filled = false;
	unsigned int i;
	loff_t size;

	if (!filemap_invalidate_trylock_shared(ahead->mapping))
		return false;
	size = i_size_read(ahead->mapping->host);
	for (i = 0; i < ahead->nr && !regionfs_region_may(ahead->region, REGIONFS_WANT_HELPER); i++) {
		filled = regionfs_local_fill(ahead->region, ahead->folio[i], size);
		if (filled && i < ahead->nr - 1)
			regionfs_local_ahead_let_go(ahead, i);
		cond_resched();
	}
	filemap_invalidate_unlock_shared(ahead->mapping);
	return filled && i == ahead->nr;
}

/* Those that are left, one at least: from the helper, or they are as they were, and who wants one looks again. */
static void regionfs_local_ahead_rest(struct regionfs_local_ahead *ahead)
{
	unsigned int i;

	if (!regionfs_region_may(ahead->region, REGIONFS_WANT_HELPER)) {
		regionfs_read_ahead(ahead->mapping->host, ahead->folio, ahead->nr);
		return;
	}
	for (i = 0; i < ahead->nr; i++)
		if (ahead->folio[i])
			regionfs_local_ahead_let_go(ahead, i);
}

/* The page cache calls ->readahead so, too: no allocation gets into a file system, which may be waiting for one of our folios. */
static void regionfs_local_ahead_work(struct work_struct *work)
{
	struct regionfs_local_ahead *ahead = container_of(work, struct regionfs_local_ahead, work);
	unsigned int nofs = memalloc_nofs_save();

	if (regionfs_local_ahead_fill(ahead))
		regionfs_local_ahead_let_go(ahead, ahead->nr - 1);
	if (ahead->left)
		regionfs_local_ahead_rest(ahead);
	memalloc_nofs_restore(nofs);
	regionfs_region_put(ahead->region);
	kfree(ahead);
}

/* Does the file have what is read here? And is there somebody else to copy it, for whom the reader would not have to stand aside? */
static bool regionfs_local_ahead_pays(struct regionfs_region *region, unsigned int pages)
{
	return regionfs_region_is_local(region) && pages >= REGIONFS_LOCAL_AHEAD_MIN && num_online_cpus() > 1 && !rt_task(current);
}

/* ->readahead for what nobody waits for. False: nothing was done. */
bool regionfs_local_ahead(struct regionfs_region *region, struct readahead_control *rac)
{
	unsigned int pages = readahead_count(rac);
	struct regionfs_local_ahead *ahead;
	struct folio *folio;

	if (!regionfs_local_ahead_pays(region, pages))
		return false;
	ahead = kmalloc(struct_size(ahead, folio, pages), GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN);
	if (!ahead)
		return false;
	INIT_WORK(&ahead->work, regionfs_local_ahead_work);
	ahead->region = regionfs_region_get(region);
	ahead->mapping = rac->mapping;
	ahead->nr = 0;
	while ((folio = __readahead_folio(rac)))
		ahead->folio[ahead->nr++] = folio;
	ahead->left = ahead->nr;
	queue_work(regionfs_ahead_wq, &ahead->work);
	return true;
}
