// SPDX-License-Identifier: GPL-2.0
/*
 * What is read ahead from a LOCAL file, and nobody waits for yet, is copied on another CPU, where there is one: who reads on meanwhile
 * finds it there, or waits for the rest, on the folio's lock, killably, as for any readahead.
 *
 * What local.c says of bytes that are read so holds as in ->readahead: all folios are locked, and the invalidate_lock is shared. It is only tried for, since
 * who has it may be waiting for the folios; then, and where the file can't be used any more, the helper is asked, whose READs have their place
 * in the order. The lock is in the inode, which stays as long as one of its folios is locked: the last one is unlocked after it.
 *
 * Lifetime: a work's own, with a reference to the region; it ends by itself, and may outlive everything but the module.
 */
#include <linux/cpumask.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "channel.h"
#include "request.h"

#define REGIONFS_LOCAL_AHEAD_MIN	(SZ_128K >> PAGE_SHIFT)	/* less is copied as soon as it is handed over */

struct regionfs_local_ahead {
	struct work_struct work;
	struct regionfs_region *region;		/* counted */
	struct address_space *mapping;		/* as long as one of the folios is locked */
	loff_t size;
	unsigned int nr;
	struct folio *folio[];			/* locked, counted */
};

/* All folios but those that the file did not have, which are left where they are; true: it has the last one. */
static bool regionfs_local_ahead_fill(struct regionfs_local_ahead *ahead)
{
	bool filled = false;
	unsigned int i;

	if (!filemap_invalidate_trylock_shared(ahead->mapping))
		return false;
	for (i = 0; i < ahead->nr; i++) {
		filled = regionfs_local_fill(ahead->region, ahead->folio[i], ahead->size);
		if (!filled || i == ahead->nr - 1)
			continue;
		regionfs_local_filled(ahead->region, ahead->folio[i]);
		folio_put(ahead->folio[i]);
		ahead->folio[i] = NULL;
		cond_resched();
	}
	filemap_invalidate_unlock_shared(ahead->mapping);
	return filled;
}

static void regionfs_local_ahead_work(struct work_struct *work)
{
	struct regionfs_local_ahead *ahead = container_of(work, struct regionfs_local_ahead, work);
	bool last = regionfs_local_ahead_fill(ahead);
	unsigned int i, nr = ahead->nr - last;

	for (i = 0; i < nr && !ahead->folio[i]; i++)
		;
	if (i < nr)
		regionfs_read_ahead(ahead->region, ahead->folio + i, nr - i, ahead->size);
	if (last) {
		regionfs_local_filled(ahead->region, ahead->folio[nr]);
		folio_put(ahead->folio[nr]);
	}
	regionfs_region_put(ahead->region);
	kfree(ahead);
}

/* Does the file have, or had it the last time, what is read here? And is there somebody else to copy it? */
static bool regionfs_local_ahead_pays(struct regionfs_region *region, unsigned int pages)
{
	return (READ_ONCE(region->local_whole) || READ_ONCE(region->local_last)) && pages >= REGIONFS_LOCAL_AHEAD_MIN && num_online_cpus() > 1;
}

/* ->readahead for what nobody waits for, of a region that ends at @size. False: nothing was done. */
bool regionfs_local_ahead(struct regionfs_region *region, struct readahead_control *rac, loff_t size)
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
	ahead->size = size;
	ahead->nr = 0;
	while ((folio = __readahead_folio(rac)))
		ahead->folio[ahead->nr++] = folio;
	queue_work(regionfs_op_wq, &ahead->work);
	return true;
}
