// SPDX-License-Identifier: GPL-2.0
/*
 * The file that a LOCAL has named, and the map that says which of its pages count.
 *
 * The map is memory of the helper's: a word for each chunk, that it changes with stores as its own readers look at it, and a count
 * that goes on between a bit that was cleared and the first change to the bytes. So who copies bytes, and then finds the count as it was, has
 * copied what the bits spoke of; no message says what comes and goes, and nobody waits for anybody. The map is looked at through its page
 * cache, without a lock. A page of it that is not there (nothing is present in those chunks, or it was swapped out) speaks of nothing.
 *
 * Of a file with a map only what stands in its page cache is read, unless it is on a tmpfs: so it may be on any file system that keeps its bytes
 * there as they are, since none is ever called, or waited for, not even one that stands on a region itself.
 *
 * Lifetime: region->local has a reference, and so has a reader. The last one may be a program's or the helper's own thread, and the last of an
 * unlinked file frees all its blocks: that is a work's.
 */
#include <linux/bitops.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "channel.h"

/* ---- the pair ---- */

static void regionfs_local_file_close(struct work_struct *work)
{
	struct regionfs_local_file *local = container_of(work, struct regionfs_local_file, close);

	/* here and now: fput() would leave it to a work that all of the system has in common */
	__fput_sync(local->file);
	if (local->map)
		__fput_sync(local->map);
	kfree(local);
}

struct regionfs_local_file *regionfs_local_file_get(struct regionfs_local_file *local)
{
	refcount_inc(&local->refs);
	return local;
}

void regionfs_local_file_put(struct regionfs_local_file *local)
{
	if (refcount_dec_and_test(&local->refs))
		queue_work(regionfs_close_wq, &local->close);
}

static bool regionfs_local_is_tmpfs(const struct file *file)
{
	return file_inode(file)->i_sb->s_magic == TMPFS_MAGIC;
}

/*
 * With a map: are its bytes what stands in its page cache? Those of a network, or of a user's program (fuseblk, whose type has a subtype), may
 * change at any time; what somebody has encrypted is not to be had past him. What can't be read has pages that are nobody's to look at (memfd_secret()).
 */
static bool regionfs_local_is_cached(const struct file *file)
{
	int flags = file_inode(file)->i_sb->s_type->fs_flags;

	return file->f_op->read_iter && flags & FS_REQUIRES_DEV && !(flags & FS_HAS_SUBTYPE) && !IS_ENCRYPTED(file_inode(file));
}

/*
 * The file that the caller has open as @fd, opened again for us: nobody is notified of our reads, or asked for leave, since a
 * fault must not wait for that. -EBADF, -EOPNOTSUPP and what opening gives.
 */
static struct file *regionfs_local_file_open(int fd, fmode_t mode, bool mapped)
{
	struct fd f = fdget(fd);
	struct file *file = regionfs_fd_file(f);

	if (!file)
		return ERR_PTR(-EBADF);
	if (!S_ISREG(file_inode(file)->i_mode) || (file->f_mode & mode) != mode)
		file = ERR_PTR(-EBADF);
	else if (!regionfs_local_is_tmpfs(file) && !(mapped && regionfs_local_is_cached(file)))
		file = ERR_PTR(-EOPNOTSUPP);
	else
		file = dentry_open(&file->f_path, O_RDONLY | O_LARGEFILE | O_NOATIME | REGIONFS_O_NONOTIFY, current_cred());
	fdput(f);
	return file;
}

/* By the helper's thread, whose descriptors they are; attach generation @gen. See the contract for errors. */
struct regionfs_local_file *regionfs_local_file_new(const struct regionfs_local *l, u32 gen)
{
	bool mapped = l->flags & REGIONFS_LOCAL_MAP;
	struct regionfs_local_file *local = kzalloc(sizeof(*local), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!local)
		return ERR_PTR(err);
	refcount_set(&local->refs, 1);
	INIT_WORK(&local->close, regionfs_local_file_close);
	local->gen = gen;
	local->file = regionfs_local_file_open(l->fd, FMODE_READ, mapped);
	err = PTR_ERR_OR_ZERO(local->file);
	if (err)
		goto free;
	local->tmpfs = regionfs_local_is_tmpfs(local->file);
	if (!mapped)
		return local;
	local->map = regionfs_local_file_open(l->map_fd, FMODE_READ | FMODE_WRITE, false);
	err = PTR_ERR_OR_ZERO(local->map);
	if (!err)
		return local;
	fput(local->file);
free:
	kfree(local);
	return ERR_PTR(err);
}

/* ---- the map ---- */

static struct folio *regionfs_local_map_folio(struct file *map, size_t at)
{
	struct folio *folio = regionfs_get_cached_folio(map->f_mapping, at >> PAGE_SHIFT);

	if (!folio || (folio_test_uptodate(folio) && !folio_test_hwpoison(folio) &&
		       !(folio_test_large(folio) && folio_test_has_hwpoisoned(folio))))
		return folio;
	folio_put(folio);
	return NULL;
}

static bool regionfs_local_map_seq(struct file *map, u64 *seq)
{
	struct folio *folio = regionfs_local_map_folio(map, 0);
	struct regionfs_local_map *head;

	if (!folio)
		return false;
	head = kmap_local_folio(folio, 0);
	*seq = READ_ONCE(head->seq);
	kunmap_local(head);
	folio_put(folio);
	return true;
}

/* The pages of a chunk that [@pos, @end) touches, as bits of its word. */
static u32 regionfs_local_map_mask(u64 chunk, loff_t pos, loff_t end)
{
	loff_t start = chunk * REGIONFS_LOCAL_CHUNK;
	u32 first = pos > start ? (pos - start) / REGIONFS_LOCAL_PAGE : 0;
	u32 last = end - start < REGIONFS_LOCAL_CHUNK ? DIV_ROUND_UP(end - start, REGIONFS_LOCAL_PAGE) :
							REGIONFS_LOCAL_CHUNK / REGIONFS_LOCAL_PAGE;

	return GENMASK(last - 1, first);
}

static bool regionfs_local_map_take(u32 *word, u32 mask)
{
	u32 now = READ_ONCE(*word);

	if ((now & mask) != mask || now & REGIONFS_LOCAL_UNSURE)
		return false;
	/* mostly set already, and then the cache line stays shared */
	if (!(now & REGIONFS_LOCAL_USED))
		atomic_or(REGIONFS_LOCAL_USED, (atomic_t *)word);
	return true;
}

static bool regionfs_local_map_present(struct file *map, loff_t pos, loff_t end)
{
	struct folio *folio = NULL;
	bool present = true;
	u64 chunk;

	for (chunk = pos / REGIONFS_LOCAL_CHUNK; present && chunk * REGIONFS_LOCAL_CHUNK < end; chunk++) {
		size_t at = offsetof(struct regionfs_local_map, word[chunk]);
		u32 *word;

		if (folio && !folio_contains(folio, at >> PAGE_SHIFT)) {
			folio_put(folio);
			folio = NULL;
		}
		folio = folio ?: regionfs_local_map_folio(map, at);
		if (!folio)
			return false;
		word = kmap_local_folio(folio, offset_in_folio(folio, at));
		present = regionfs_local_map_take(word, regionfs_local_map_mask(chunk, pos, end));
		kunmap_local(word);
	}
	if (folio)
		folio_put(folio);
	return present;
}

/* May these bytes be copied? Then regionfs_local_file_end() says whether they were still theirs. */
bool regionfs_local_file_begin(const struct regionfs_local_file *local, loff_t pos, size_t len, u64 *seq)
{
	*seq = 0;
	if (!local->map)
		return true;
	if (!regionfs_local_map_seq(local->map, seq))
		return false;
	smp_rmb();	/* bits, before the count, in front of the bytes: as the helper does it, the other way round */
	if (!regionfs_local_map_present(local->map, pos, pos + len))
		return false;
	smp_rmb();	/* the bytes after the bits */
	return true;
}

bool regionfs_local_file_end(const struct regionfs_local_file *local, u64 seq)
{
	u64 now;

	if (!local->map)
		return true;
	smp_rmb();	/* the count after the bytes */
	return regionfs_local_map_seq(local->map, &now) && now == seq;
}
