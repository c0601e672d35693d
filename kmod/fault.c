// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults. A fault that has to wait drops the mmap or VMA lock, waits interruptibly where it came from user mode (so
 * that signals and the cgroup freezer get through, as with userfaultfd), and returns VM_FAULT_RETRY.
 *
 * A miss asks for what the pattern deserves: the window of read() readahead, which begins with the page alone and grows
 * when faults follow each other; not the read-around of filemap_fault(), which takes the whole window for one page.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/writeback.h>
#include <linux/freezer.h>
#include "request.h"
#include "trace.h"

/* The kernel's own accesses have the flag as well, but are not ended by a signal: they would come again at once, for ever. */
static bool regionfs_fault_interruptible(const struct vm_fault *vmf)
{
	const unsigned int both = FAULT_FLAG_INTERRUPTIBLE | FAULT_FLAG_USER;

	return (vmf->flags & both) == both;
}

static unsigned int regionfs_fault_state(const struct vm_fault *vmf)
{
	return regionfs_fault_interruptible(vmf) ? TASK_INTERRUPTIBLE | TASK_FREEZABLE : TASK_KILLABLE;
}

static bool regionfs_fault_may_drop(const struct vm_fault *vmf)
{
	return (vmf->flags & (FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT)) == FAULT_FLAG_ALLOW_RETRY;
}

/* May it wait with no lock held, by regionfs_fault_await()? */
static bool regionfs_fault_may_await(const struct vm_fault *vmf)
{
	return regionfs_fault_interruptible(vmf) && regionfs_fault_may_drop(vmf);
}

/* The region is locked, frozen or without helper. A signal ends the wait; the fault code then looks at it. */
static vm_fault_t regionfs_fault_wait(struct vm_fault *vmf, struct regionfs_region *region, unsigned int want)
{
	struct file *file;
	int err;

	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	if (!regionfs_fault_may_drop(vmf)) {
		err = regionfs_region_wait(region, want, TASK_KILLABLE);
		return err && err != -ERESTARTSYS ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
	}
	file = get_file(vmf->vma->vm_file);
	regionfs_release_fault_lock(vmf);
	err = regionfs_region_wait(region, want, regionfs_fault_state(vmf));
	fput(file);
	/* The next attempt meets an error again, with the lock held, and may say SIGBUS. */
	return VM_FAULT_RETRY;
}

/* Without locks: the wait for a turn, and for freeze or lock where that ends it. */
static int regionfs_fault_line(struct regionfs_region *region, unsigned int task_state)
{
	struct regionfs_turn turn = { .len = PAGE_SIZE };
	int err;

	do {
		err = regionfs_rate_wait(region, &turn, task_state);
		if (err == -EAGAIN)
			err = regionfs_region_wait(region, REGIONFS_WANT_WRITE, task_state) ?: -EAGAIN;
	} while (err == -EAGAIN);
	return err;
}

/*
 * A store's turn to dirty a page, where the region's writers are slowed. 0: it may go on. What it waits for may take long, so a store that
 * comes again after any wait (FAULT_FLAG_TRIED, which some kernels set only after VM_FAULT_MAJOR) is not asked again; nor is one
 * that has paid, *@paid, and did not get on for another reason. One that may not even wait, but comes again, pays when it is its turn.
 */
static vm_fault_t regionfs_fault_turn(struct vm_fault *vmf, struct regionfs_region *region, bool *paid)
{
	struct file *file;

	if (likely(!regionfs_rate(region)))
		return 0;
	if (vmf->flags & FAULT_FLAG_TRIED || regionfs_dirty_test(region, vmf->pgoff) || regionfs_rate_paid(region))
		return 0;
	*paid = regionfs_rate_now(region, PAGE_SIZE);
	if (*paid)
		return 0;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	/* A kernel thread (one that resolves faults of a KVM guest, reads too) gets no signal that would end the wait. */
	if (current->flags & PF_KTHREAD || !regionfs_fault_may_drop(vmf)) {
		regionfs_rate_owe(region, PAGE_SIZE);
		return 0;
	}
	file = get_file(vmf->vma->vm_file);
	regionfs_release_fault_lock(vmf);
	if (!regionfs_fault_line(region, regionfs_fault_state(vmf)))
		regionfs_rate_note(region);
	fput(file);
	return VM_FAULT_RETRY | VM_FAULT_MAJOR;
}

/* Starts reading around a page that is not there. */
static void regionfs_fault_readahead(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct file_ra_state *ra = &file->f_ra;
	DEFINE_READAHEAD(rac, file, ra, file->f_mapping, vmf->pgoff);
	unsigned long count = 1;

	if (vmf->vma->vm_flags & VM_SEQ_READ)	/* a request */
		count = max(min_t(unsigned long, ra->ra_pages, file_inode(file)->i_sb->s_bdi->io_pages), 1UL);
	page_cache_sync_ra(&rac, count);
	ra->prev_pos = (loff_t)vmf->pgoff << PAGE_SHIFT;
}

/* What the page cache had when the fault began. Where it had nothing, one that comes meanwhile is met by who asks for it. */
enum regionfs_page {
	REGIONFS_PAGE_ABSENT,
	REGIONFS_PAGE_THERE,
	REGIONFS_PAGE_UPTODATE,
};

static bool regionfs_fault_read(struct folio *folio)
{
	return !folio_test_locked(folio) || folio_test_uptodate(folio);
}

/* What a fault waits for with no lock held: a page that is being read, and the request, where that is its own. Both counted, or NULL. */
struct regionfs_await {
	struct folio *folio;
	struct regionfs_request *req;
	bool goes_on;	/* regionfs_fault_goes_on() */
};

/* Is it where the next window is to be begun, of who touches one page after the other? */
static bool regionfs_fault_goes_on(const struct vm_fault *vmf, struct folio *folio)
{
	const struct file_ra_state *ra = &vmf->vma->vm_file->f_ra;

	return folio_test_readahead(folio) && !(vmf->vma->vm_flags & VM_RAND_READ) &&
	       (vmf->pgoff == round_down(ra->start + ra->size - ra->async_size, folio_nr_pages(folio)) ||
		regionfs_window_in(ra, vmf->pgoff));
}

/*
 * Begins the next window while this one is still on its way, as filemap_fault() does before it waits: two of them are on their way then. Not
 * in the fault itself, whose locks it would keep for so many new pages.
 */
static void regionfs_fault_next(struct file *file, struct regionfs_region *region, struct folio *folio)
{
	/* of several programs that came to this page one is enough */
	if (signal_pending(current) || !folio_test_readahead(folio) || regionfs_region_enter(region, 0))
		return;
	regionfs_window_next(file, region, folio);
	regionfs_region_exit(region, 0);
}

/*
 * The same where the page at the mark is there already, and the next window takes more than the page cache would do by itself. It does that without the fault
 * lock, too. False: it is not for us.
 */
static bool regionfs_fault_at_mark(struct vm_fault *vmf, struct regionfs_region *region)
{
	struct file *file = vmf->vma->vm_file;
	struct folio *folio;

	if (!REGIONFS_WINDOW_SEVERAL || vmf->flags & FAULT_FLAG_TRIED || !regionfs_fault_may_await(vmf) || signal_pending(current))
		return false;
	folio = regionfs_get_cached_folio(file->f_mapping, vmf->pgoff);
	if (!folio)
		return false;
	if (!folio_test_readahead(folio) || folio_test_writeback(folio) || regionfs_region_is_helper(region)) {
		folio_put(folio);
		return false;
	}
	get_file(file);
	regionfs_release_fault_lock(vmf);
	regionfs_fault_next(file, region, folio);
	folio_put(folio);
	fput(file);
	return true;
}

/*
 * Waits interruptibly, where filemap_fault() would only be killable; drops the fault lock, and the references. Not counted in as a reader:
 * a lock or a hand-over need not wait for it. The folio's own wait queue is not for modules; ours is woken when a request or a STORE
 * ends, and the time-out is for folios that are unlocked by the page cache itself.
 */
static vm_fault_t regionfs_fault_await(struct vm_fault *vmf, struct regionfs_region *region, const struct regionfs_await *await)
{
	struct file *file = get_file(vmf->vma->vm_file);
	u64 since = ktime_get_ns(), looked = since;
	bool tried;
	long left;

	regionfs_release_fault_lock(vmf);
	if (await->goes_on) {
		regionfs_fault_next(file, region, await->folio);
		looked = ktime_get_ns();	/* to begin megabytes takes longer than it may look */
	}
	if (await->req) {
		tried = regionfs_poll_until(region, looked, completion_done(&await->req->done));
		wait_for_completion_state(&await->req->done, TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		regionfs_request_put(await->req);
	} else {
		tried = regionfs_poll_until(region, looked, regionfs_fault_read(await->folio));
		do {
			left = wait_event_freezable_timeout(region->wait, regionfs_fault_read(await->folio), HZ / 20);
		} while (!left);
	}
	regionfs_poll_learn(region, regionfs_waited(region, since) - (looked - since), tried);
	folio_put(await->folio);
	fput(file);
	return VM_FAULT_RETRY | VM_FAULT_MAJOR;
}

/* The page's folio, counted: a new one, *@locked, or one that has come before it. -ENOMEM. */
static struct folio *regionfs_fault_folio(struct vm_fault *vmf, struct address_space *mapping, bool *locked)
{
	struct folio *folio = filemap_alloc_folio(vmf->gfp_mask, 0);
	int err = folio ? filemap_add_folio(mapping, folio, vmf->pgoff, vmf->gfp_mask) : -ENOMEM;

	*locked = !err;
	if (!err)
		return folio;
	if (folio)
		folio_put(folio);
	return err == -EEXIST ? regionfs_get_folio(mapping, vmf->pgoff, FGP_CREAT | FGP_FOR_MMAP, vmf->gfp_mask) : ERR_PTR(err);
}

/* Under the invalidate_lock: no truncate that has made the file shorter has looked at its pages yet, or one still will. */
static void regionfs_fault_ask_locked(struct vm_fault *vmf, struct regionfs_region *region, struct regionfs_await *await)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct folio *folio;
	bool locked;

	if (vmf->pgoff >= DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE) || regionfs_region_may(region, REGIONFS_WANT_HELPER))
		return;
	folio = regionfs_fault_folio(vmf, mapping, &locked);
	if (IS_ERR(folio))
		return;
	if (locked || (!regionfs_read_has_failed(folio) && folio_trylock(folio)))
		await->req = regionfs_read_start(mapping, folio);
	if (await->req || !regionfs_fault_read(folio))
		await->folio = folio;
	else
		folio_put(folio);
}

/*
 * A page that is not there, of a mapping that is touched at random, or whose READ was taken back: asked for alone. Nothing to wait for: it is here already, or it is not to be
 * had now, which filemap_fault() meets again.
 */
static void regionfs_fault_ask(struct vm_fault *vmf, struct regionfs_region *region, struct regionfs_await *await)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;

	filemap_invalidate_lock_shared(mapping);
	regionfs_fault_ask_locked(vmf, region, await);
	filemap_invalidate_unlock_shared(mapping);
}

/* One whose READ has failed is tried once more where that is told to the program; one whose READ was taken back is asked for again. */
static bool regionfs_fault_missing(struct folio *folio)
{
	return !folio || (!folio_test_locked(folio) && !folio_test_uptodate(folio) && !regionfs_read_has_failed(folio));
}

/*
 * Starts to bring the page in. What to wait for, when there is something and that may be done without locks; *@since is set when there is,
 * and filemap_fault() will wait.
 */
static void regionfs_fault_fill(struct vm_fault *vmf, struct regionfs_region *region, enum regionfs_page cached,
				struct regionfs_await *await, u64 *since)
{
	bool may_drop = regionfs_fault_may_await(vmf), random = vmf->vma->vm_flags & VM_RAND_READ;
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct folio *folio = cached == REGIONFS_PAGE_ABSENT ? NULL : regionfs_get_cached_folio(mapping, vmf->pgoff);

	if (!folio && !random) {
		regionfs_fault_readahead(vmf);
		folio = regionfs_get_cached_folio(mapping, vmf->pgoff);
	}
	if (may_drop && (random || folio) && regionfs_fault_missing(folio)) {
		if (folio)
			folio_put(folio);
		regionfs_fault_ask(vmf, region, await);
		return;
	}
	if (!folio)
		return;
	if (!regionfs_fault_read(folio)) {
		if (may_drop) {
			await->folio = folio;
			return;
		}
		*since = ktime_get_ns();
	}
	folio_put(folio);
}

static unsigned int regionfs_fault_want(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_WRITE && vmf->vma->vm_flags & VM_SHARED ? REGIONFS_WANT_WRITE : 0;
}

/* A page of a region that no one may write: told before the page is brought in. */
static vm_fault_t regionfs_fault_refused(struct vm_fault *vmf, struct regionfs_region *region, int err)
{
	if (err == -EAGAIN && !regionfs_region_is_helper(region))	/* what ends the wait may need the helper */
		return regionfs_fault_wait(vmf, region, regionfs_fault_want(vmf));
	return VM_FAULT_SIGBUS;
}

/* Counted in as a reader. @await: what to wait for when that is over. */
static vm_fault_t regionfs_fault_do(struct vm_fault *vmf, struct regionfs_region *region, enum regionfs_page cached,
				    struct regionfs_await *await)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	u64 seq = READ_ONCE(region->retry_seq), since = 0;
	vm_fault_t ret;

	if (cached != REGIONFS_PAGE_UPTODATE)
		regionfs_fault_fill(vmf, region, cached, await, &since);
	if (await->folio)
		return VM_FAULT_RETRY;
	ret = filemap_fault(vmf);
	if (since && !(ret & VM_FAULT_RETRY && vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
		regionfs_waited(region, since);
	if (!(ret & VM_FAULT_SIGBUS) || vmf->pgoff >= DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE))
		return ret;
	/* read_folio sent it away to wait: the instruction is simply run again, and waits above. */
	return READ_ONCE(region->retry_seq) != seq ? VM_FAULT_NOPAGE : ret;
}

static enum regionfs_page regionfs_fault_cached(struct vm_fault *vmf, bool *goes_on)
{
	struct folio *folio = regionfs_get_cached_folio(vmf->vma->vm_file->f_mapping, vmf->pgoff);
	enum regionfs_page is;

	if (!folio)
		return REGIONFS_PAGE_ABSENT;
	is = folio_test_uptodate(folio) ? REGIONFS_PAGE_UPTODATE : REGIONFS_PAGE_THERE;
	*goes_on = regionfs_fault_goes_on(vmf, folio);
	folio_put(folio);
	return is;
}

/*
 * A page of a mapping that is touched at random, and there is a helper to ask: regionfs_map_pages() has just not found it, so it is taken for
 * absent without another look. If it is there all the same, regionfs_fault_ask() finds it.
 */
static bool regionfs_fault_at_once(struct vm_fault *vmf, struct regionfs_region *region)
{
	return vmf->vma->vm_flags & VM_RAND_READ && !(vmf->flags & (FAULT_FLAG_WRITE | FAULT_FLAG_TRIED)) &&
	       regionfs_fault_may_await(vmf) && !regionfs_region_may(region, REGIONFS_WANT_HELPER) &&
	       !regionfs_region_is_helper(region);
}

static vm_fault_t regionfs_fault_try(struct vm_fault *vmf, struct regionfs_region *region)
{
	struct regionfs_await await = { NULL };
	bool at_once = regionfs_fault_at_once(vmf, region), paid = false;
	enum regionfs_page cached = at_once ? REGIONFS_PAGE_ABSENT : regionfs_fault_cached(vmf, &await.goes_on);
	unsigned int want = regionfs_fault_want(vmf);
	vm_fault_t ret;
	int err;

	if (cached != REGIONFS_PAGE_UPTODATE && !at_once) {
		if (regionfs_region_is_helper(region))
			return VM_FAULT_SIGBUS;
		err = regionfs_region_may(region, REGIONFS_WANT_HELPER);
		if (err == -EAGAIN && regionfs_region_given_up(region))
			return VM_FAULT_SIGBUS;
		if (err == -EAGAIN && vmf->pgoff < DIV_ROUND_UP(i_size_read(file_inode(vmf->vma->vm_file)), PAGE_SIZE))
			return regionfs_fault_wait(vmf, region, REGIONFS_WANT_HELPER);
	}
	err = regionfs_region_may(region, want);
	if (err)
		return regionfs_fault_refused(vmf, region, err);
	ret = want ? regionfs_fault_turn(vmf, region, &paid) : 0;
	if (ret)
		return ret;
	if (await.goes_on && cached == REGIONFS_PAGE_UPTODATE && !paid && regionfs_fault_at_mark(vmf, region))
		return VM_FAULT_RETRY;
	err = regionfs_region_enter(region, 0);
	if (err)
		return regionfs_fault_refused(vmf, region, err);
	if (!(vmf->vma->vm_flags & VM_RAND_READ))	/* nothing is read ahead of that */
		regionfs_window_set(vmf->vma->vm_file, region, await.goes_on);
	ret = regionfs_fault_do(vmf, region, cached, &await);
	regionfs_region_exit(region, 0);
	if (paid && ret & (VM_FAULT_RETRY | VM_FAULT_NOPAGE))
		regionfs_rate_note(region);
	return await.folio ? regionfs_fault_await(vmf, region, &await) : ret;
}

/* Once the fault lock is dropped, only our reference keeps the region: the file may have been unmapped and closed meanwhile. */
static vm_fault_t regionfs_fault(struct vm_fault *vmf)
{
	struct regionfs_region *region = regionfs_region_get(regionfs_region_of(file_inode(vmf->vma->vm_file)));
	vm_fault_t ret = regionfs_fault_try(vmf, region);

	regionfs_region_put(region);
	return ret;
}

/*
 * One page after the other is touched: more and more of what follows is mapped by one fault, as far as its page table goes (the caller's
 * only promise is that there is one), up to 2 MiB. The last page to map. Several programs that do this in one region disturb each other, and are as well
 * off as others then.
 */
static pgoff_t regionfs_map_ahead(const struct vm_fault *vmf, struct regionfs_region *region, pgoff_t end)
{
	pgoff_t next = READ_ONCE(region->map_next);
	unsigned long in_vma = vma_pages(vmf->vma) - (vmf->pgoff - vmf->vma->vm_pgoff);
	unsigned long in_table = PTRS_PER_PTE - (vmf->address >> PAGE_SHIFT) % PTRS_PER_PTE;
	unsigned long last = READ_ONCE(region->map_many), many = end + 1 - vmf->pgoff;

	if (vmf->pgoff == next || vmf->pgoff == next + 1)	/* the one in between was not there, and was mapped alone */
		many = max(2 * last, many);
	else if (vmf->pgoff < next && next - vmf->pgoff <= last)	/* where no more was there then */
		many = max(last, many);
	many = min3(many, in_vma, in_table);
	WRITE_ONCE(region->map_many, many);
	WRITE_ONCE(region->map_next, vmf->pgoff + many);
	return vmf->pgoff + many - 1;
}

/* Is the page in the cache? @marked: it starts readahead, and so was left out when those around it were mapped. Both are hints. */
static bool regionfs_map_there(const struct vm_fault *vmf, bool *marked)
{
	struct folio *folio;
	bool there;

	rcu_read_lock();
	folio = xa_load(&vmf->vma->vm_file->f_mapping->i_pages, vmf->pgoff);
	there = folio && !xa_is_value(folio);
	if (there)
		*marked = test_bit(PG_readahead, &folio->flags);	/* not counted, so it may be anything by now: no checks */
	rcu_read_unlock();
	return there;
}

/* Where the page itself is not there it is brought first, and those around it are mapped with it then: looking for them twice costs as much as all else here. */
static vm_fault_t regionfs_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	struct regionfs_region *region = regionfs_region_of(file_inode(vmf->vma->vm_file));
	bool random = vmf->vma->vm_flags & VM_RAND_READ, marked = false;
	vm_fault_t ret;

	if (!regionfs_map_there(vmf, &marked))
		return 0;
	if (regionfs_region_enter(region, 0))
		return 0;
	if (!random && !marked)
		end = regionfs_map_ahead(vmf, region, end);
	else if (random && vmf->flags & FAULT_FLAG_TRIED)	/* it was waited for: hardly one around it is there, and not mapped */
		start = end = vmf->pgoff;
	ret = filemap_map_pages(vmf, start, end);
	regionfs_region_exit(region, 0);
	return ret;
}

/* Under the folio lock, and counted in as a writer. */
static vm_fault_t regionfs_mkwrite_locked(struct vm_fault *vmf, struct regionfs_region *region, struct folio *folio)
{
	struct address_space *mapping = file_inode(vmf->vma->vm_file)->i_mapping;
	loff_t size = i_size_read(mapping->host);

	if (folio->mapping != mapping)
		return VM_FAULT_NOPAGE;
	if (vmf->pgoff >= DIV_ROUND_UP(size, PAGE_SIZE))
		return VM_FAULT_SIGBUS;
	if (folio_test_pmd_mappable(folio))	/* one fault may map all of it */
		regionfs_dirty_set(region, folio->index, folio_nr_pages(folio));
	else
		regionfs_dirty_set(region, vmf->pgoff, 1);
	filemap_dirty_folio(mapping, folio);
	smp_mb();	/* dirty before the look at the flag: pairs with regionfs_region_set_read_only() */
	return regionfs_region_test(region, REGIONFS_R_READ_ONLY) ? VM_FAULT_SIGBUS : VM_FAULT_LOCKED;
}

/*
 * Is it a store's turn? One that found no page has had it in regionfs_fault(); one that found a page mapped for reading
 * has not, unless it is back from there.
 */
static bool regionfs_mkwrite_turn(struct vm_fault *vmf, struct regionfs_region *region)
{
	if (likely(!regionfs_rate(region)))
		return true;
	return regionfs_rate_noted(region) || !pte_present(vmf->orig_pte) || regionfs_dirty_test(region, vmf->pgoff) ||
	       regionfs_rate_now(region, PAGE_SIZE);
}

/*
 * Its caller takes no VM_FAULT_RETRY, so on a frozen region, and when it is not its turn, the page is unmapped and the access comes
 * again, through regionfs_fault(), which can wait.
 */
static vm_fault_t regionfs_mkwrite_barred(struct vm_fault *vmf, int err)
{
	if (err != -EAGAIN)
		return VM_FAULT_SIGBUS;
	unmap_mapping_range(vmf->vma->vm_file->f_mapping, (loff_t)vmf->pgoff << PAGE_SHIFT, PAGE_SIZE, 0);
	return VM_FAULT_NOPAGE;
}

static vm_fault_t regionfs_mkwrite_do(struct vm_fault *vmf, struct regionfs_region *region)
{
	struct folio *folio = page_folio(vmf->page);
	vm_fault_t ret;

	if (folio_lock_killable(folio))
		return VM_FAULT_NOPAGE;
	ret = regionfs_mkwrite_locked(vmf, region, folio);
	if (ret != VM_FAULT_LOCKED)
		folio_unlock(folio);
	return ret;
}

static vm_fault_t regionfs_page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct regionfs_region *region = regionfs_region_of(inode);
	struct folio *folio = page_folio(vmf->page);
	vm_fault_t ret;
	int err;

	if (regionfs_dirty_reserve(region, folio->index, folio_nr_pages(folio)))
		return VM_FAULT_OOM;
	sb_start_pagefault(inode->i_sb);
	err = regionfs_region_enter(region, REGIONFS_WANT_WRITE);
	if (!err && !regionfs_mkwrite_turn(vmf, region)) {
		regionfs_region_exit(region, REGIONFS_WANT_WRITE);
		err = -EAGAIN;
	}
	if (err) {
		ret = regionfs_mkwrite_barred(vmf, err);
	} else {
		file_update_time(vmf->vma->vm_file);
		ret = regionfs_mkwrite_do(vmf, region);
		regionfs_region_exit(region, REGIONFS_WANT_WRITE);
	}
	sb_end_pagefault(inode->i_sb);
	return ret;
}

const struct vm_operations_struct regionfs_vm_ops = {
	.fault		= regionfs_fault,
	.map_pages	= regionfs_map_pages,
	.page_mkwrite	= regionfs_page_mkwrite,
};
