// SPDX-License-Identifier: GPL-2.0
/*
 * LOCAL: the bytes of a region stand in a file of this host, all or those that a map names (local-file.c), which the kernel reads itself instead of
 * asking the helper. It saves two switches between tasks for each miss, and one of two copies in the helper's cache.
 *
 * What is read so is what a READ would have been answered with, because
 *
 *  - nothing that changes the page at the source is on its way when it is read (else a READ is sent, and takes its
 *    place in the order), and nothing can set out meanwhile that does not drop or wait for the folio, which is locked, and the
 *    invalidate_lock, which is shared: WRITEs come from folios that are uptodate; direct WRITEs drop the range afterwards; punch and
 *    truncate take the invalidate_lock;
 *  - the helper says that the file has what the source has, and the word ends with the helper, with its source, and with the ownership. It is looked
 *    at again after the bytes were copied, and the folio becomes uptodate under the same lock as that: once the word has ended, nothing
 *    more of the file is seen, and its bytes may change, though somebody may still be copying them.
 *
 * O_DIRECT has no folio whose lock would keep changes away, and no place of its own to copy to. So it copies to the program's memory with
 * nothing held, and asks afterwards, under the lock under which changes set out and end, whether anything has, or the word has ended
 * (regionfs_local_end()). If so those bytes do not count: a READ is sent, and its bytes come over them. Until then, and for good where the READ
 * fails or the program is killed, whoever looks at that memory sees whatever the file held just then: old, newer, torn, or of a
 * state that LOCK or LOCAL has put there meanwhile. A program may not look at a buffer before read() has returned; but a file that gets bytes which
 * readers of this region may not see at all must not have been this region's, and the contract says so.
 *
 * No file system is called but tmpfs, since a fault must not wait, unkillably, for another one that may depend on anything. Where the machine
 * swaps, a page of the file may have to come from there, as any memory of a program may.
 *
 * Lifetime: region->local has a reference of its own, under inst->lock; a reader takes another. Whoever replaces it puts it.
 */
#include <linux/bvec.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include "channel.h"

#define REGIONFS_LOCAL_PART	SZ_1M	/* O_DIRECT: at a time */

/* inst->lock held. Returns what was there, whose reference is now the caller's. */
static struct regionfs_local_file *regionfs_local_swap(struct regionfs_region *region, struct regionfs_local_file *local)
{
	struct regionfs_local_file *old = region->local;

	region->local = local;
	WRITE_ONCE(region->local_whole, local && !local->map);
	WRITE_ONCE(region->local_last, false);
	if (local)
		list_move(&region->local_node, &region->inst->locals);
	else
		list_del_init(&region->local_node);
	return old;
}

/* The helper is asked again from here on. */
void regionfs_local_drop(struct regionfs_region *region)
{
	struct regionfs_local_file *old;

	spin_lock(&region->inst->lock);
	old = regionfs_local_swap(region, NULL);
	spin_unlock(&region->inst->lock);
	if (old)
		regionfs_local_file_put(old);
}

/* inst->lock held. The oldest file that a helper up to attach generation @gen has named: those of later ones stand before it. */
static struct regionfs_local_file *regionfs_local_oldest(struct regionfs_instance *inst, u32 gen)
{
	struct regionfs_region *region;

	if (list_empty(&inst->locals))
		return NULL;
	region = list_last_entry(&inst->locals, struct regionfs_region, local_node);
	return (s32)(region->local->gen - gen) <= 0 ? regionfs_local_swap(region, NULL) : NULL;
}

/* The helper of attach generation @gen is gone. */
void regionfs_local_drop_all(struct regionfs_instance *inst, u32 gen)
{
	struct regionfs_local_file *old;

	do {
		spin_lock(&inst->lock);
		old = regionfs_local_oldest(inst, gen);
		spin_unlock(&inst->lock);
		if (old)
			regionfs_local_file_put(old);
	} while (old);
}

/* inst->lock held. May @chan's helper say where the region's bytes are? */
static int regionfs_local_allowed(struct regionfs_channel *chan, struct regionfs_region *region,
				  const struct regionfs_local *l)
{
	if (chan->dead || region->inst->chan != chan)
		return -ECANCELED;
	if (l->fd >= 0 && (regionfs_region_test(region, REGIONFS_R_MOVED) || l->epoch != READ_ONCE(region->epoch)))
		return -ESTALE;	/* what is only taken back may be of any */
	return region->inode ? 0 : -ENOENT;
}

/* Takes over the reference to @local, which may be NULL. */
static int regionfs_local_set(struct regionfs_channel *chan, struct regionfs_region *region,
			      const struct regionfs_local *l, struct regionfs_local_file *local)
{
	struct regionfs_local_file *put = local;
	int err;

	spin_lock(&region->inst->lock);
	err = regionfs_local_allowed(chan, region, l);
	if (!err)
		put = regionfs_local_swap(region, local);
	spin_unlock(&region->inst->lock);
	if (put)
		regionfs_local_file_put(put);
	return err;
}

static int regionfs_local_check(const struct regionfs_channel *chan, const struct regionfs_local *l)
{
	bool mapped = l->flags & REGIONFS_LOCAL_MAP;

	if (l->flags & ~(chan->features & REGIONFS_F_LOCAL_MAP ? REGIONFS_LOCAL_MAP : 0))
		return -EOPNOTSUPP;
	if (l->reserved || l->reserved2 || l->fd < -1 || (!mapped && l->map_fd) || (mapped && (l->fd < 0 || l->map_fd < 0)))
		return -EINVAL;
	return 0;
}

/* By the helper's thread, whose descriptors it names. See the contract for errors. */
int regionfs_local(struct regionfs_channel *chan, u64 addr)
{
	struct regionfs_local_file *local = NULL;
	struct regionfs_region *region;
	struct regionfs_local l;
	int err;

	if (copy_from_user(&l, u64_to_user_ptr(addr), sizeof(l)))
		return -EFAULT;
	err = regionfs_local_check(chan, &l);
	if (err)
		return err;
	if (l.fd >= 0)
		local = regionfs_local_file_new(&l, chan->attach_gen);
	if (IS_ERR(local))
		return PTR_ERR(local);
	region = regionfs_region_find(chan->inst, l.region);
	if (!region) {
		if (local)
			regionfs_local_file_put(local);
		return -ENOENT;
	}
	err = regionfs_local_set(chan, region, &l, local);
	regionfs_region_put(region);
	return err;
}

/* inst->lock held. */
static bool regionfs_local_valid(struct regionfs_region *region)
{
	return region->local && region->inst->chan && region->local->gen == region->inst->attach_gen;
}

/* What to read these pages from, counted; NULL when the helper has to be asked. */
static struct regionfs_local_file *regionfs_local_get(struct regionfs_region *region, pgoff_t first, pgoff_t last)
{
	struct regionfs_instance *inst = region->inst;
	struct regionfs_local_file *local = NULL;

	if (!READ_ONCE(region->local))
		return NULL;
	spin_lock(&inst->lock);
	if (regionfs_local_valid(region) && !regionfs_order_pending(region, first, last))
		local = regionfs_local_file_get(region->local);
	spin_unlock(&inst->lock);
	return local;
}

/* Copies @from, a folio of the file's, to where @done bytes of @to are there; up to @len in all. Bytes copied. */
static size_t regionfs_local_copy_folio(struct folio *to, size_t done, size_t len, struct folio *from)
{
	size_t at, end, begin = done, n;

	if (!folio_test_large(from) && len - done >= PAGE_SIZE) {	/* as tmpfs has them, mostly */
		memcpy_page(folio_page(to, done >> PAGE_SHIFT), 0, folio_page(from, 0), 0, PAGE_SIZE);
		return PAGE_SIZE;
	}
	at = folio_pos(to) + done - folio_pos(from);
	end = min(len, done + folio_size(from) - at);
	for (; done < end; done += n, at += n) {
		n = min_t(size_t, end - done, PAGE_SIZE);
		memcpy_page(folio_page(to, done >> PAGE_SHIFT), 0, folio_page(from, at >> PAGE_SHIFT), 0, n);
	}
	return done - begin;
}

/* Only a large folio has a second page, whose flag the last is. */
static bool regionfs_local_usable(struct folio *from, pgoff_t index)
{
	return folio_test_uptodate(from) && folio_contains(from, index) && !folio_test_hwpoison(from) &&
	       !(folio_test_large(from) && folio_test_has_hwpoisoned(from));
}

/*
 * Copies from the file's page cache, which on a tmpfs is the file, for as far as that goes: up to a hole, a page that is swapped out or one
 * that is not in order. Bytes copied. It saves tmpfs's own work for each page.
 */
static size_t regionfs_local_cached(struct address_space *file, struct folio *folio, size_t len)
{
	pgoff_t index = folio->index, end = index + (len - 1) / PAGE_SIZE;
	struct folio_batch batch;
	size_t done = 0;
	unsigned int i;

	folio_batch_init(&batch);
	/* not _contig(), which before 6.12 may take the second entry of a large folio for a folio */
	while (done < len && filemap_get_folios(file, &index, end, &batch)) {
		for (i = 0; i < folio_batch_count(&batch) &&
		     regionfs_local_usable(batch.folios[i], folio->index + (done >> PAGE_SHIFT)); i++)
			done += regionfs_local_copy_folio(folio, done, len, batch.folios[i]);
		if (i < folio_batch_count(&batch))
			len = done;
		folio_batch_release(&batch);
		cond_resched();
	}
	return done;
}

/* What is not in its page cache is read by the file's own ->read_iter, as the helper would read it. Bytes from @done on; 0 at its end. */
static ssize_t regionfs_local_read_iter(struct file *file, struct folio *folio, size_t done, size_t len)
{
	struct bio_vec bv = { .bv_page = folio_page(folio, 0), .bv_offset = done, .bv_len = len - done };
	const struct cred *cred = override_creds(file->f_cred);
	loff_t pos = folio_pos(folio) + done;
	struct iov_iter iter;
	ssize_t n = 1;

	iov_iter_bvec(&iter, ITER_DEST, &bv, 1, len - done);
	while (iov_iter_count(&iter) && n > 0)
		n = vfs_iter_read(file, &iter, &pos, 0);
	revert_creds(cred);
	return n < 0 ? n : len - done - iov_iter_count(&iter);
}

/* Where the file ends before the region does, the region is zero. False: not all of it can be had so. */
static bool regionfs_local_copy(const struct regionfs_local_file *local, struct folio *folio, loff_t size)
{
	size_t len = folio_pos(folio) < size ? min_t(loff_t, folio_size(folio), size - folio_pos(folio)) : 0;
	ssize_t n = 0;
	size_t done;
	u64 seq;

	if (!len) {
		folio_zero_range(folio, 0, folio_size(folio));
		return true;
	}
	if (!regionfs_local_file_begin(local, folio_pos(folio), len, &seq))
		return false;
	done = regionfs_local_cached(local->file->f_mapping, folio, len);
	if (done < len)
		n = local->tmpfs ? regionfs_local_read_iter(local->file, folio, done, len) : -ENODATA;
	if (n < 0 || !regionfs_local_file_end(local, seq))
		return false;
	done += n;
	if (done < folio_size(folio))
		folio_zero_range(folio, done, folio_size(folio) - done);
	return true;
}

/* The folio has been filled from @local: if that is still the source, it is uptodate. What was named anew is another one. */
static bool regionfs_local_keep(struct regionfs_region *region, struct folio *folio, const struct regionfs_local_file *local)
{
	bool keep;

	flush_dcache_folio(folio);
	spin_lock(&region->inst->lock);
	keep = regionfs_local_valid(region) && region->local == local;
	if (keep)
		folio_mark_uptodate(folio);
	spin_unlock(&region->inst->lock);
	return keep;
}

/* What somebody who reads the file without a folio's lock goes by, and looks at again when he is done. */
struct regionfs_local_word {
	struct regionfs_local_file *local;	/* counted */
	pgoff_t first, last;
	u64 token;		/* regionfs_change_token() */
	u64 seq;		/* regionfs_local_file_begin() */
};

/*
 * inst->lock held. LOCKED is looked at since a reader may come here, by way of a write-back that took long, when LOCK is done already. Who began
 * before the flag was set is told by the token: see regionfs_lock_run(). MOVED has taken the file away, and none comes after it.
 */
static bool regionfs_local_open_for(struct regionfs_region *region, const struct regionfs_local_word *word)
{
	return regionfs_local_valid(region) && !regionfs_order_pending(region, word->first, word->last) &&
	       !regionfs_region_test(region, REGIONFS_R_LOCKED);
}

static bool regionfs_local_begin(struct regionfs_region *region, struct regionfs_local_word *word)
{
	struct regionfs_instance *inst = region->inst;
	bool may;

	if (!READ_ONCE(region->local))
		return false;
	spin_lock(&inst->lock);
	may = regionfs_local_open_for(region, word);
	if (may) {
		word->local = regionfs_local_file_get(region->local);
		word->token = regionfs_change_token(region);
	}
	spin_unlock(&inst->lock);
	if (!may)
		return false;
	if (word->local->tmpfs && regionfs_local_file_begin(word->local, (loff_t)word->first << PAGE_SHIFT,
							    (size_t)(word->last - word->first + 1) << PAGE_SHIFT, &word->seq))
		return true;
	regionfs_local_file_put(word->local);
	return false;
}

/* By blocks, as dirty.c notes it. */
static bool regionfs_local_changed(struct regionfs_region *region, const struct regionfs_local_word *word)
{
	pgoff_t index = word->first;

	for (; index <= word->last; index = round_down(index, REGIONFS_BLOCK_PAGES) + REGIONFS_BLOCK_PAGES)
		if (regionfs_changed_since(region, index, word->token))
			return true;
	return false;
}

/*
 * Puts the file. Has the word held, and has nothing set out since that changes the range? Whatever has is on its way still, or has raised
 * the token before it was taken off the lists, which is under the same lock; what sets out after this changes the file after it was read.
 * A file that was named anew is another one: ours can't have gone, and come again at the same address, while we hold it.
 */
static bool regionfs_local_end(struct regionfs_region *region, const struct regionfs_local_word *word)
{
	bool holds = regionfs_local_file_end(word->local, word->seq);

	spin_lock(&region->inst->lock);
	holds = holds && regionfs_local_open_for(region, word) && region->local == word->local && !regionfs_local_changed(region, word);
	spin_unlock(&region->inst->lock);
	regionfs_local_file_put(word->local);
	return holds;
}

/* All of @to, from @pos on; past the file's end it is zero. As the program, whose memory may have to be faulted in. False: not all of it. */
static bool regionfs_local_read_all(struct file *file, loff_t pos, struct iov_iter *to)
{
	struct kiocb iocb;
	ssize_t n = 1;

	init_sync_kiocb(&iocb, file);
	iocb.ki_pos = pos;
	while (iov_iter_count(to) && n > 0)
		n = file->f_op->read_iter(&iocb, to);
	if (!n)
		iov_iter_zero(iov_iter_count(to), to);
	return !iov_iter_count(to);
}

/*
 * O_DIRECT: from the file to the program's memory; @to lies within the region. Bytes, which @to has gone on by; 0: ask the helper, who also says
 * what is wrong.
 *
 * No lock is held, and nobody is counted in, since that memory may be a mapping of the region; nor is it pinned, so a page of it that has to be
 * faulted in is waited for, killably, with the file in hand. A part at a time: tmpfs does not look for a signal in the middle, and what could not be
 * kept is read twice. A pipe would take the file's own pages, and the kernel's own memory the helper's way can't have either.
 */
size_t regionfs_local_direct(struct regionfs_region *region, loff_t pos, struct iov_iter *to)
{
	size_t len = min_t(size_t, iov_iter_count(to), REGIONFS_LOCAL_PART);
	struct regionfs_local_word word = { .first = pos >> PAGE_SHIFT, .last = (pos + len - 1) >> PAGE_SHIFT };
	struct iov_iter part = *to;
	bool all;

	if (!len || (!user_backed_iter(to) && !iov_iter_is_bvec(to)) || !regionfs_local_begin(region, &word))
		return 0;
	iov_iter_truncate(&part, len);
	all = regionfs_local_read_all(word.local->file, pos, &part);
	if (!regionfs_local_end(region, &word) || !all)
		return 0;
	iov_iter_advance(to, len);
	regionfs_stat_add(region, REGIONFS_STAT_LOCAL_BYTES, len);
	return len;
}

/*
 * Fills a locked folio that is not uptodate; @size is where the region ends. True: it is uptodate, and regionfs_local_unlock() is to follow. False: it is as it
 * was, but for its bytes: ask the helper (who, if the file can't be read, will say why).
 */
bool regionfs_local_fill(struct regionfs_region *region, struct folio *folio, loff_t size)
{
	struct regionfs_local_file *local = regionfs_local_get(region, folio->index, folio_next_index(folio) - 1);
	bool kept;

	if (!local)
		return false;
	kept = regionfs_local_copy(local, folio, size) && regionfs_local_keep(region, folio, local);
	regionfs_local_file_put(local);
	if (READ_ONCE(region->local_last) != kept)
		WRITE_ONCE(region->local_last, kept);
	if (kept)
		regionfs_stat_add(region, REGIONFS_STAT_LOCAL_BYTES, folio_size(folio));
	return kept;
}

/* Unlocks it, and wakes who looks for it. The caller keeps its reference. */
void regionfs_local_unlock(struct regionfs_region *region, struct folio *folio)
{
	folio_unlock(folio);
	regionfs_region_wake(region);
}

/* Both. The caller keeps its reference. */
bool regionfs_local_read(struct regionfs_region *region, struct folio *folio, loff_t size)
{
	if (!regionfs_local_fill(region, folio, size))
		return false;
	regionfs_local_unlock(region, folio);
	return true;
}
