// SPDX-License-Identifier: GPL-2.0
/*
 * How far is read ahead of a program. The page cache decides that by the file's window (f_ra.ra_pages); ours is the device's (bdi), so that
 * whoever administers it has the last word, at once and over any posix_fadvise().
 *
 * That much, several requests, only for who goes on where he was, and in a file where somebody has: a source that is far away has to be asked long before. All
 * others, and who has no use for more, get as much as one request may have at most: what was guessed wrongly is not much then.
 *
 *  - What is in a LOCAL file is copied here: more would only take longer.
 *  - Requests are taken back when they are not answered in time. A source so slow that two windows might not be gets small ones.
 *  - Pages that are being read are nothing that reclaim could take: all streams of an instance together have no more than a few long windows
 *    under way, and a machine or a memory cgroup with little memory has no long ones.
 */
#include <linux/backing-dev.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include "region.h"

#define REGIONFS_WINDOW_NEAR	(SZ_1M >> PAGE_SHIFT)
#define REGIONFS_AHEAD		(2 * REGIONFS_WINDOW)	/* one that is being used, and the next */
#define REGIONFS_UNDER_WAY	16	/* two of the longest windows, in MiB */
#define REGIONFS_UNDER_WAY_ALL	SZ_64M	/* what an instance's READs ask for */
#define REGIONFS_OF_MEMORY	64	/* the part of it that a window may be */
#define REGIONFS_OF_MEMORY_ALL	16	/* and that all of an instance may ask for */

/* A part of so much memory, aligned: else folios get short. */
static unsigned long regionfs_window_of(unsigned long pages)
{
	return max_t(unsigned long, round_down(pages / REGIONFS_OF_MEMORY, REGIONFS_WINDOW_NEAR / 2), REGIONFS_WINDOW_NEAR);
}

/* What a superblock begins with. A request is as long as before: that is the device's ->io_pages. */
void regionfs_window_init(struct backing_dev_info *bdi)
{
	unsigned long most = regionfs_window_of(totalram_pages());

	bdi->ra_pages = min_t(unsigned long, REGIONFS_WINDOW, most);
	bdi->io_pages = REGIONFS_WINDOW_NEAR;
}

/* The helper has answered a READ of @len bytes in @took jiffies: that much per MiB. A hint: others may have been in its way. */
void regionfs_window_pace(struct regionfs_region *region, u32 len, unsigned long took)
{
	if (len >= SZ_64K)
		WRITE_ONCE(region->read_took, took / max_t(u32, len / SZ_1M, 1));
}

/* Do an instance's READs ask for so much that long windows are not for now? */
static bool regionfs_window_full(const struct regionfs_instance *inst)
{
	return READ_ONCE(inst->reading) > min_t(u64, REGIONFS_UNDER_WAY_ALL, (u64)totalram_pages() / REGIONFS_OF_MEMORY_ALL << PAGE_SHIFT);
}

/* Is no more to be read ahead of anybody than was before there were long windows? */
static bool regionfs_window_near(struct regionfs_region *region)
{
	unsigned long limit = msecs_to_jiffies(READ_ONCE(region->inst->takeback_ms));

	return regionfs_region_is_local(region) || READ_ONCE(region->read_took) > limit / REGIONFS_UNDER_WAY || regionfs_window_full(region->inst);
}

/*
 * The page cache does not let the window of a stream get smaller again by itself. What was asked for stays: the next one begins where that ends, and
 * at the same mark, so ->async_size may be more than ->size until then.
 */
static void regionfs_window_shrink(struct file_ra_state *ra, unsigned int pages)
{
	unsigned int size = READ_ONCE(ra->size);	/* others with this file may change it */

	if (size <= pages)
		return;
	ra->start += size - pages;
	ra->size = pages;
}

/* What a window may have of the memory that a program may use: its cgroups', or the machine's. */
static unsigned long regionfs_window_of_group(void)
{
	unsigned long pages = totalram_pages();
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg;

	rcu_read_lock();
	for (memcg = mem_cgroup_from_task(current); memcg; memcg = parent_mem_cgroup(memcg))
		pages = min(pages, READ_ONCE(memcg->memory.max));
	rcu_read_unlock();
#endif
	return regionfs_window_of(pages);
}

/* As long as a window of @file may be now; never shorter than @few. */
static unsigned int regionfs_window_most(struct file *file, struct regionfs_region *region, unsigned int few)
{
	unsigned int most = min_t(unsigned int, READ_ONCE(file_inode(file)->i_sb->s_bdi->ra_pages), REGIONFS_WINDOW);

	if (most == few || regionfs_window_near(region))
		return few;
	return min_t(unsigned long, most, regionfs_window_of_group());
}

/*
 * For posix_fadvise() or madvise(WILLNEED), and readahead(): asks for what is missing from @index to before @end, of no more than a request, as without long
 * windows. The program may touch it at once, so it is asked for as if it did.
 */
void regionfs_window_ask(struct file *file, struct regionfs_region *region, pgoff_t index, pgoff_t end)
{
	unsigned int n = min_t(pgoff_t, end - index, REGIONFS_WINDOW_NEAR);
	struct file_ra_state ra = { .start = index, .size = n };
	DEFINE_READAHEAD(rac, file, &ra, file->f_mapping, index);

	if (regionfs_region_enter(region, 0))
		return;
	page_cache_ra_unbounded(&rac, n, 0);
	regionfs_region_exit(region, 0);
}

/*
 * ---- Where a window of ours is several of the page cache's ----
 *
 * f_ra has the last of them only. Once it is as long as it may be, ->start + ->size is where all of them end, and each has its mark, where we, or the page
 * cache by our leave (regionfs_window_read()), ask for what follows that end. What others with this file make of it meanwhile is a hint like all of f_ra: it is
 * read once, and what is asked for is bounded by a state of our own.
 */

/* From @index to where all windows end; 0: they are not that long yet, or @index is not in them. */
static pgoff_t regionfs_window_left(const struct file_ra_state *ra, pgoff_t index)
{
	pgoff_t end = READ_ONCE(ra->start) + REGIONFS_WINDOW_ONE;

	return READ_ONCE(ra->size) == REGIONFS_WINDOW_ONE && end - index <= REGIONFS_AHEAD ? end - index : 0;
}

/* Is there more to be asked for at a mark at @index? */
bool regionfs_window_in(const struct file_ra_state *ra, pgoff_t index)
{
	return REGIONFS_WINDOW_SEVERAL && regionfs_window_left(ra, index);
}

/* How far ahead of a program may be asked: the window that is being used, and as much again. */
static pgoff_t regionfs_window_bound(struct file *file, struct regionfs_region *region)
{
	return 2 * regionfs_window_most(file, region, REGIONFS_WINDOW_ONE);
}

/*
 * Asks for @pages from @start on, in folios that may get longer than @folio. For the page cache it is the next window of a stream whose last one ends there. False: not
 * even the first page was to be had, so the next ones aren't. What is there already is passed over: it would allocate before it looks. Behind its first page some may be
 * missing: who comes there asks for them.
 */
static bool regionfs_window_add(struct file *file, struct folio *folio, pgoff_t start, unsigned int pages)
{
	unsigned int last = start == pages ? pages / 2 : pages;	/* at 0 another stream would begin */
	struct file_ra_state ra = { .start = start - last, .size = last, .async_size = last, .ra_pages = pages };
	DEFINE_READAHEAD(rac, file, &ra, file->f_mapping, ra.start);
	loff_t pos = (loff_t)start << PAGE_SHIFT;

	if (start < last)
		return false;
	if (filemap_range_has_page(file->f_mapping, pos, pos))
		return true;
	page_cache_async_ra(&rac, folio, 1);
	return filemap_range_has_page(file->f_mapping, pos, pos);
}

/* At the mark of a window that is not as long as it may be yet: the next one, four times as long as that, up to where the ones after it are aligned. */
static void regionfs_window_grow(struct file *file, struct folio *folio)
{
	struct file_ra_state *ra = &file->f_ra;
	unsigned int size = READ_ONCE(ra->size), pages;
	pgoff_t end = READ_ONCE(ra->start) + size;

	pages = min_t(unsigned int, 4 * size, READ_ONCE(ra->ra_pages));
	pages = min_t(unsigned int, pages, REGIONFS_WINDOW_ONE - end % REGIONFS_WINDOW_ONE);
	if (!pages || !regionfs_window_add(file, folio, end, pages))
		return;
	ra->start = end;
	ra->size = pages;
	ra->async_size = pages;
}

/*
 * Who goes on in order has come to @folio, in windows that are as long as they may be, with @left pages to where they end: twice as much is asked for ahead of it, and
 * one more.
 */
static void regionfs_window_more(struct file *file, struct regionfs_region *region, struct folio *folio, pgoff_t left)
{
	pgoff_t last = DIV_ROUND_UP(i_size_read(file_inode(file)), PAGE_SIZE), index = folio->index, end;
	pgoff_t most = min(regionfs_window_bound(file, region), 2 * (left + REGIONFS_WINDOW_ONE));
	struct file_ra_state *ra = &file->f_ra;
	unsigned int pages;

	for (end = index + left; end < last; end += pages) {
		pages = REGIONFS_WINDOW_ONE - end % REGIONFS_WINDOW_ONE;	/* aligned, or folios get short */
		if (end + pages - index > most || !regionfs_window_add(file, folio, end, pages))
			return;
		ra->start = end + pages - REGIONFS_WINDOW_ONE;
		ra->size = REGIONFS_WINDOW_ONE;
		ra->async_size = REGIONFS_WINDOW_ONE;
	}
}

static void regionfs_window_next_several(struct file *file, struct regionfs_region *region, struct folio *folio)
{
	pgoff_t left = regionfs_window_left(&file->f_ra, folio->index);

	if (regionfs_region_may(region, REGIONFS_WANT_HELPER) || folio_test_writeback(folio))
		return;
	folio_clear_readahead(folio);
	if (left)
		regionfs_window_more(file, region, folio, left);
	else
		regionfs_window_grow(file, folio);
}

/* Begins the next window, of who goes on in order and has come to the mark of one, in @folio. Counted in as a reader. */
void regionfs_window_next(struct file *file, struct regionfs_region *region, struct folio *folio)
{
	DEFINE_READAHEAD(rac, file, &file->f_ra, file->f_mapping, folio->index);

	regionfs_window_set(file, region, true);
	if (REGIONFS_WINDOW_SEVERAL)
		regionfs_window_next_several(file, region, folio);
	else
		page_cache_async_ra(&rac, folio, 1);
}

/* Who reads in order is about to wait for @folio. Counted in as a reader. */
void regionfs_window_wait(struct file *file, struct regionfs_region *region, struct folio *folio)
{
	if (regionfs_window_in(&file->f_ra, folio->index) && !(file->f_mode & FMODE_RANDOM))
		regionfs_window_next_several(file, region, folio);
}

/*
 * Before a read() at @index which goes on where the last one has ended. The page cache shall go on at the next mark, as if that were the one of the last
 * window, unless too much is ahead already. Where the first page is not there, nothing ahead of it counts. Returns the page before which it has to be called again.
 */
pgoff_t regionfs_window_read(struct file *file, struct regionfs_region *region, pgoff_t index)
{
	pgoff_t until = round_up(index + 1, REGIONFS_WINDOW_ONE), left;
	struct file_ra_state *ra = &file->f_ra;
	struct folio *folio;

	if (!regionfs_window_in(ra, index))
		return ULONG_MAX;
	folio = regionfs_get_cached_folio(file->f_mapping, index);
	if (!folio) {
		ra->async_size = REGIONFS_WINDOW_ONE;
		return ULONG_MAX;
	}
	left = regionfs_window_left(ra, folio_test_readahead(folio) ? folio->index : until);
	folio_put(folio);
	if (left + REGIONFS_WINDOW_ONE <= regionfs_window_bound(file, region))
		ra->async_size = left ?: REGIONFS_WINDOW_ONE;
	return until;
}

/*
 * Before the page cache may read ahead. @goes_on: it is the next access of one after the other. Several programs with one file may mix it up: it is a
 * hint. What others do is looked at only where a long window is to begin, or stands: most faults are alone.
 *
 * Where one stands it is kept also for who does not go on: of several threads that read in order in one file the last one's place is known only, and
 * the page cache, when one comes to a mark, looks no farther than this for where its window ends; what is not found is not gone on with.
 */
void regionfs_window_set(struct file *file, struct regionfs_region *region, bool goes_on)
{
	struct file_ra_state *ra = &file->f_ra;
	unsigned int few = min_t(unsigned int, READ_ONCE(file_inode(file)->i_sb->s_bdi->ra_pages), REGIONFS_WINDOW_NEAR);
	unsigned int size = READ_ONCE(ra->size), pages = few;

	if (REGIONFS_WINDOW_SEVERAL && size > few) {
		regionfs_window_shrink(ra, few);
	} else if (!REGIONFS_WINDOW_SEVERAL && (goes_on || size > few)) {
		pages = regionfs_window_most(file, region, few);
		if (pages == few)
			regionfs_window_shrink(ra, few);
		else if (!goes_on)
			pages = min_t(unsigned int, pages, round_up(size, REGIONFS_WINDOW_NEAR));	/* aligned: else folios get short */
	}
	if (ra->ra_pages != pages)
		ra->ra_pages = pages;
}
