// SPDX-License-Identifier: GPL-2.0
/* The address space operations: which file does what. */
#include <linux/migrate.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>
#include "region.h"

/*
 * Called for stores through mappings (whose page_mkwrite has set the page's bit), for unpinned pages, and by the page
 * cache itself; see dirty.c for why the bits need no care here.
 */
static bool regionfs_dirty_folio(struct address_space *mapping, struct folio *folio)
{
	struct regionfs_region *region = regionfs_region_of(mapping->host);

	if (unlikely(region && regionfs_region_test(region, REGIONFS_R_FROZEN)) &&
	    !test_and_set_bit(REGIONFS_R_LATE_DIRTY, &region->flags))
		queue_work(regionfs_wq, &region->inst->late);	/* a page table may be locked here */
	return filemap_dirty_folio(mapping, folio);
}

const struct address_space_operations regionfs_aops = {
	.read_folio		= regionfs_read_folio,
	.readahead		= regionfs_readahead,
	.writepages		= regionfs_writepages,
	.dirty_folio		= regionfs_dirty_folio,
	.migrate_folio		= filemap_migrate_folio,
	REGIONFS_AOPS_ERROR_REMOVE,
};
