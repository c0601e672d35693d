// SPDX-License-Identifier: GPL-2.0
/*
 * How far is read ahead of a program. The page cache decides that by the file's window (f_ra.ra_pages); ours is the device's (bdi), so that
 * whoever administers it has the last word, at once and over any posix_fadvise().
 *
 * That much, several requests, only for who goes on where he was: a source that is far away has to be asked long before. All others, and who has
 * no use for more, get as much as one request may have at most: what was guessed wrongly is not much then.
 *
 *  - A LOCAL region is copied by who misses: more would only take longer.
 *  - Requests are taken back when they are not answered in time. A source so slow that two windows might not be gets small ones.
 */
#include <linux/backing-dev.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include "region.h"

#define REGIONFS_WINDOW_NEAR	(SZ_1M >> PAGE_SHIFT)
#define REGIONFS_UNDER_WAY	16	/* two of the longest windows, in requests of 1 MiB */

/* What a superblock begins with. A request is as long as before: that is the device's ->io_pages. */
void regionfs_window_init(struct backing_dev_info *bdi)
{
	bdi->ra_pages = REGIONFS_WINDOW;
	bdi->io_pages = REGIONFS_WINDOW_NEAR;
}

/* The helper has answered a READ of @len bytes in @took jiffies. A hint: others may have been in its way. */
void regionfs_window_pace(struct regionfs_region *region, u32 len, unsigned long took)
{
	if (len >= SZ_64K)
		WRITE_ONCE(region->read_took, took);
}

static bool regionfs_window_too_long(struct regionfs_region *region)
{
	unsigned long limit = msecs_to_jiffies(READ_ONCE(region->inst->takeback_ms));

	return READ_ONCE(region->read_took) > limit / REGIONFS_UNDER_WAY;
}

/* Before the page cache may read ahead. @goes_on: it is the next access of one after the other. Several programs with one file may mix it up: it is a hint. */
void regionfs_window_set(struct file *file, struct regionfs_region *region, bool goes_on)
{
	unsigned int pages = READ_ONCE(file_inode(file)->i_sb->s_bdi->ra_pages);

	if (!goes_on || READ_ONCE(region->local) || regionfs_window_too_long(region))
		pages = min_t(unsigned int, pages, REGIONFS_WINDOW_NEAR);
	if (file->f_ra.ra_pages != pages)
		file->f_ra.ra_pages = pages;
}
