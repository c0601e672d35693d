// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a request: allocated, submitted, detached or ended. See request.h for the states.
 *
 * References: one belongs to the machinery, from regionfs_request_submit() to regionfs_request_end() or
 * regionfs_request_forget(); a waiter takes one of its own before it submits.
 */
#include <linux/sizes.h>
#include <linux/slab.h>
#include "request.h"
#include "trace.h"

static struct kmem_cache *regionfs_request_cache;

/*
 * NULL, but not for write-back (a WRITE with GFP_NOFS), which has a reserve; direct WRITEs must not empty it, since they hold
 * several before they send one.
 */
struct regionfs_request *regionfs_request_alloc(struct regionfs_region *region, u8 op, gfp_t gfp)
{
	struct regionfs_request *req;

	if (op == REGIONFS_OP_WRITE && !(gfp & __GFP_FS))
		req = mempool_alloc(region->inst->requests, gfp);
	else
		req = kmem_cache_zalloc(regionfs_request_cache, gfp | __GFP_NOWARN);
	if (!req)
		return NULL;
	if (op == REGIONFS_OP_WRITE)
		memset(req, 0, sizeof(*req));	/* it may be one of the reserve */
	refcount_set(&req->refs, 1);
	INIT_LIST_HEAD(&req->queue);
	INIT_LIST_HEAD(&req->in_region);
	INIT_LIST_HEAD(&req->in_inst);
	INIT_LIST_HEAD(&req->victim);
	init_completion(&req->done);
	req->region = regionfs_region_get(region);
	req->op = op;
	req->segs = req->inline_segs;
	req->max_segs = REGIONFS_INLINE_SEGS;
	return req;
}

struct regionfs_request *regionfs_request_get(struct regionfs_request *req)
{
	refcount_inc(&req->refs);
	return req;
}

void regionfs_request_put(struct regionfs_request *req)
{
	struct regionfs_region *region = req->region;

	if (!refcount_dec_and_test(&req->refs))
		return;
	if (req->segs != req->inline_segs)
		kfree(req->segs);
	mempool_free(req, region->inst->requests);
	regionfs_region_put(region);
}

/* Makes room by doubling; fails rather than waits, since the caller can submit what it has. */
static bool regionfs_request_grow(struct regionfs_request *req)
{
	u32 max = req->max_segs * 8;
	struct regionfs_seg *segs = kmalloc_array(max, sizeof(*segs), GFP_NOWAIT | __GFP_NOWARN);

	if (!segs)
		return false;
	memcpy(segs, req->segs, req->nr_segs * sizeof(*segs));
	if (req->segs != req->inline_segs)
		kfree(req->segs);
	req->segs = segs;
	req->max_segs = max;
	return true;
}

/* Appends a run of bytes; -ENOMEM when there is no room, and the request is as it was. */
int regionfs_request_add(struct regionfs_request *req, struct page *page, u32 offset, u32 len,
			 struct regionfs_part *part)
{
	if (req->nr_segs == req->max_segs && !regionfs_request_grow(req))
		return -ENOMEM;
	req->segs[req->nr_segs++] = (struct regionfs_seg){ page, offset, len, part };
	req->len += len;
	return 0;
}

static bool regionfs_request_ordered(const struct regionfs_request *req)
{
	return req->op != REGIONFS_OP_READ && req->op != REGIONFS_OP_SYNC;
}

/*
 * inst->lock held. 0 when it may be sent. What has folios must not wait for a helper that is not there; what has moved is another
 * host's to change.
 */
static int regionfs_request_refused(struct regionfs_request *req)
{
	struct regionfs_region *region = req->region;
	bool moved = regionfs_region_test(region, REGIONFS_R_MOVED);

	if (regionfs_op_has_payload(req->op))
		return !region->inst->chan || region->closing || moved ? -REGIONFS_RETRY : 0;
	return moved && regionfs_op_is_meta(req->op) ? -ESTALE : 0;
}

static void regionfs_request_count(struct regionfs_request *req)
{
	struct regionfs_region *region = req->region;

	switch (req->op) {
	case REGIONFS_OP_READ:
		regionfs_stat_add(region, REGIONFS_STAT_READS, 1);
		regionfs_stat_add(region, REGIONFS_STAT_READ_BYTES, req->len);
		if (req->flags & REGIONFS_REQ_DEMAND)
			regionfs_stat_add(region, REGIONFS_STAT_DEMAND_READS, 1);
		break;
	case REGIONFS_OP_WRITE:
		regionfs_stat_add(region, REGIONFS_STAT_WRITES, 1);
		regionfs_stat_add(region, REGIONFS_STAT_WRITE_BYTES, req->len);
		break;
	case REGIONFS_OP_SYNC:
		regionfs_stat_add(region, REGIONFS_STAT_SYNCS, 1);
		break;
	case REGIONFS_OP_DISCARD:
		regionfs_stat_add(region, REGIONFS_STAT_DISCARDS, 1);
		break;
	}
}

/* inst->lock held. Where it waits to be handed over. */
static struct list_head *regionfs_request_list(struct regionfs_request *req)
{
	struct regionfs_instance *inst = req->region->inst;

	return req->flags & REGIONFS_REQ_DEMAND ? &inst->urgent : &inst->pending;
}

/* inst->lock held, and on no queue. Nothing that is older stands in its way, or not any more. */
void regionfs_request_queue(struct regionfs_request *req)
{
	req->state = REGIONFS_S_QUEUED;
	list_add_tail(&req->queue, regionfs_request_list(req));
}

/* inst->lock held. */
static void regionfs_request_enlist(struct regionfs_request *req)
{
	struct regionfs_region *region = req->region;
	struct regionfs_instance *inst = region->inst;

	req->id = ++inst->last_request;
	req->epoch = READ_ONCE(region->epoch);
	req->started = jiffies;
	inst->nr_outstanding++;
	if (regionfs_op_has_payload(req->op)) {
		if (list_empty(&inst->outstanding))
			queue_delayed_work(regionfs_wq, &inst->takeback, HZ);
		list_add_tail(&req->in_inst, &inst->outstanding);
	}
	if (req->op == REGIONFS_OP_READ) {
		inst->reading += req->len;
		list_add_tail(&req->in_region, &region->reads);
	} else if (regionfs_request_ordered(req)) {
		list_add_tail(&req->in_region, &region->ordered);
	}
	if (regionfs_op_is_meta(req->op))
		region->nr_meta++;
	if (regionfs_order_add(req)) {
		regionfs_request_queue(req);
	} else {
		req->state = REGIONFS_S_BLOCKED;
		list_add_tail(&req->queue, &region->blocked);
	}
}

/*
 * Hands the caller's reference to the machinery. What has folios is ended at once with -REGIONFS_RETRY when there is
 * no helper, or the region is closing; DISCARD and RESIZE with -ESTALE when it has moved.
 */
void regionfs_request_submit(struct regionfs_request *req)
{
	struct regionfs_instance *inst = req->region->inst;
	int err;

	spin_lock(&inst->lock);
	err = regionfs_request_refused(req);
	if (err) {
		if (req->op == REGIONFS_OP_WRITE)
			atomic64_inc(&req->region->takeback_seq);
		spin_unlock(&inst->lock);
		regionfs_request_end(req, err);
		return;
	}
	regionfs_request_enlist(req);
	regionfs_request_count(req);
	trace_regionfs_request_submit(req, 0, false);
	regionfs_dispatch_unlock(inst);
}

/* Waits until it is done, killably. Returns its error; -EINTR leaves it running. */
int regionfs_request_wait(struct regionfs_request *req)
{
	if (wait_for_completion_killable(&req->done))
		return -EINTR;
	return req->error;
}

/* As above, until @deadline (jiffies, 0: none): -EBUSY when it has passed; -ENODEV when the instance ends. */
int regionfs_request_wait_until(struct regionfs_request *req, unsigned long deadline)
{
	struct regionfs_instance *inst = req->region->inst;
	long left = deadline ? max_t(long, deadline - jiffies, 1) : MAX_SCHEDULE_TIMEOUT;

	left = wait_event_killable_timeout(req->region->wait, completion_done(&req->done) || READ_ONCE(inst->dying), left);
	if (left < 0)
		return -EINTR;
	if (!left)
		return -EBUSY;
	return try_wait_for_completion(&req->done) ? req->error : -ENODEV;
}

/* Submits a request without bytes; never waits for the helper. -ENOMEM. */
int regionfs_request_meta(struct regionfs_region *region, u8 op, u64 pos, u64 len, u64 arg)
{
	struct regionfs_request *req = regionfs_request_alloc(region, op, GFP_KERNEL);

	if (!req)
		return -ENOMEM;
	req->pos = pos;
	req->len = len;
	req->arg = arg;
	regionfs_request_submit(req);
	return 0;
}

/* inst->lock held: off every list but its tag's; drops no reference. */
static void regionfs_request_unlist(struct regionfs_request *req)
{
	struct regionfs_region *region = req->region;

	if (!req->id || req->state == REGIONFS_S_DONE)
		return;
	req->state = REGIONFS_S_DONE;
	if (req->not_before)
		region->inst->nr_delayed--;
	if (req->shell) {
		region->nr_shells--;
		wake_up_all(&region->wait);
	}
	if (!list_empty(&req->queue))	/* mostly it was handed over, and is on none */
		list_del_init(&req->queue);
	list_del_init(&req->in_region);
	list_del_init(&req->in_inst);
	region->inst->nr_outstanding--;
	if (req->op == REGIONFS_OP_READ)
		region->inst->reading -= req->len;
	if (regionfs_op_is_meta(req->op))
		region->nr_meta--;
	regionfs_order_del(req);
}

/*
 * The end of a request that is on no list (see regionfs_request_forget()): gives its folios back and wakes its waiter.
 * Drops the machinery's reference.
 */
void regionfs_request_end(struct regionfs_request *req, int error)
{
	struct regionfs_region *region = req->region;

	trace_regionfs_request_end(req, error, false);
	if (error && error != -REGIONFS_RETRY)
		regionfs_stat_add(region, REGIONFS_STAT_ERRORS, 1);
	if (!error && regionfs_op_is_meta(req->op))
		regionfs_changed_all(region);	/* what was pulled before it was done is old */
	regionfs_payload_finish(req, error);
	req->error = error;
	complete_all(&req->done);
	regionfs_region_wake(region);
	regionfs_request_put(req);
}

/* inst->lock held. Takes it off the lists for regionfs_request_end(), or, when it is a detached shell, for a mere put. */
void regionfs_request_forget(struct regionfs_instance *inst, struct regionfs_request *req)
{
	lockdep_assert_held(&inst->lock);
	regionfs_request_unlist(req);
}

/* inst->lock held. Back into its queue, in the order of ids. */
void regionfs_request_requeue(struct regionfs_instance *inst, struct regionfs_request *req)
{
	struct list_head *list = regionfs_request_list(req);
	struct regionfs_request *at;

	lockdep_assert_held(&inst->lock);
	req->state = REGIONFS_S_QUEUED;
	req->flags |= REGIONFS_REQ_REPEATED;
	list_for_each_entry(at, list, queue)
		if (at->id > req->id)
			break;
	list_add_tail(&req->queue, &at->queue);
}

/* Errors that say that the source will never have that size; ESTALE: it is another one. */
static bool regionfs_is_refusal(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
	case -EROFS:
	case -EFBIG:
	case -EINVAL:
	case -EOPNOTSUPP:
	case -ESTALE:
		return true;
	default:
		return false;
	}
}

/*
 * inst->lock held. A DISCARD that failed must be tried until it is done, for the kernel has dropped the bytes; so has it for a RESIZE, unless that is
 * refused. But not of a region that has gone, whose DESTROY waits behind it. True when it was queued again.
 */
bool regionfs_request_retry(struct regionfs_instance *inst, struct regionfs_request *req, int error)
{
	if (regionfs_region_test(req->region, REGIONFS_R_MOVED) || !req->region->inode)
		return false;
	if (!regionfs_op_is_meta(req->op) || (req->op == REGIONFS_OP_RESIZE && regionfs_is_refusal(error)))
		return false;
	regionfs_request_requeue(inst, req);
	req->not_before = (jiffies + HZ) | 1;
	inst->nr_delayed++;
	queue_delayed_work(regionfs_wq, &inst->takeback, HZ);
	return true;
}

/*
 * inst->lock held, not busy. Takes the folios away; they are finished by regionfs_detach_finish(), with the lock
 * released. What the helper has in hand stays on as a shell.
 */
void regionfs_detach_locked(struct regionfs_request *req, struct list_head *victims)
{
	struct regionfs_region *region = req->region;

	if (req->detached)
		return;
	req->detached = true;
	if (req->op == REGIONFS_OP_WRITE)
		atomic64_inc(&region->takeback_seq);
	list_del_init(&req->in_inst);
	refcount_inc(&req->refs);
	list_add_tail(&req->victim, victims);
	if (req->state == REGIONFS_S_BLOCKED || req->state == REGIONFS_S_QUEUED) {
		regionfs_request_unlist(req);
		refcount_dec(&req->refs);
	} else if (req->op == REGIONFS_OP_READ) {
		list_del_init(&req->in_region);
	} else {
		req->shell = true;
		region->nr_shells++;
	}
}

/* Gives the folios of detached requests back, and wakes who waited for them. */
void regionfs_detach_finish(struct list_head *victims)
{
	struct regionfs_request *req, *next;

	list_for_each_entry_safe(req, next, victims, victim) {
		list_del_init(&req->victim);
		regionfs_stat_add(req->region, REGIONFS_STAT_TAKEN_BACK, 1);
		regionfs_request_end(req, -REGIONFS_RETRY);
	}
}

static bool regionfs_request_overlaps(const struct regionfs_request *req, u64 start, u64 end)
{
	return req->pos < end && round_up(req->pos + req->len, PAGE_SIZE) > start;
}

/* inst->lock held. Returns a request that is being copied, for which the caller has to wait. */
static struct regionfs_request *regionfs_detach_list(struct list_head *list, u64 start, u64 end,
						     struct list_head *victims)
{
	struct regionfs_request *req, *next;

	list_for_each_entry_safe(req, next, list, in_region) {
		if (req->detached || !regionfs_op_has_payload(req->op) || !regionfs_request_overlaps(req, start, end))
			continue;
		if (req->busy)
			return req;
		regionfs_detach_locked(req, victims);
	}
	return NULL;
}

static void regionfs_detach(struct regionfs_region *region, u64 start, u64 end, bool writes)
{
	struct regionfs_instance *inst = region->inst;
	struct regionfs_request *busy;
	LIST_HEAD(victims);

	spin_lock(&inst->lock);
	for (;;) {
		busy = regionfs_detach_list(&region->reads, start, end, &victims);
		if (!busy && writes)
			busy = regionfs_detach_list(&region->ordered, start, end, &victims);
		if (!busy)
			break;
		regionfs_request_get(busy);
		spin_unlock(&inst->lock);
		wait_event(inst->busy_wait, !READ_ONCE(busy->busy));	/* a copy that cannot sleep */
		regionfs_request_put(busy);
		spin_lock(&inst->lock);
	}
	regionfs_dispatch_unlock(inst);
	regionfs_detach_finish(&victims);
}

/*
 * Takes back every READ and WRITE that touches [@start, @end): afterwards none of the range's folios is locked or under
 * write-back for a request's sake, if the caller keeps new ones away with ->closing.
 */
void regionfs_detach_range(struct regionfs_region *region, u64 start, u64 end)
{
	regionfs_detach(region, start, end, true);
}

/* Takes back all READs, so that whoever waits inside comes out. */
void regionfs_detach_reads(struct regionfs_region *region)
{
	regionfs_detach(region, 0, U64_MAX, false);
}

static struct regionfs_request *regionfs_first_queued(struct regionfs_instance *inst)
{
	struct list_head *list = list_empty(&inst->urgent) ? &inst->pending : &inst->urgent;

	return list_first_entry_or_null(list, struct regionfs_request, queue);
}

/* inst->lock held. */
static bool regionfs_request_unsent(const struct regionfs_request *req)
{
	return req->state == REGIONFS_S_BLOCKED || req->state == REGIONFS_S_QUEUED;
}

static struct regionfs_request *regionfs_first_unsent(struct regionfs_region *region)
{
	struct regionfs_request *req;

	list_for_each_entry(req, &region->ordered, in_region)
		if (regionfs_op_is_meta(req->op) && regionfs_request_unsent(req))
			return req;
	return NULL;
}

/* The region has moved: what of its DISCARDs and RESIZEs no helper has seen yet is not to be done any more. */
void regionfs_request_drop_meta(struct regionfs_region *region)
{
	struct regionfs_instance *inst = region->inst;
	struct regionfs_request *req;

	do {
		spin_lock(&inst->lock);
		req = regionfs_first_unsent(region);
		if (req)
			regionfs_request_forget(inst, req);
		regionfs_dispatch_unlock(inst);
		if (req)
			regionfs_request_end(req, -ESTALE);
	} while (req);
}

/* Nobody waits for it any more: unless the helper has it, it is not to be sent. For what has no folios. */
void regionfs_request_abandon(struct regionfs_request *req)
{
	struct regionfs_instance *inst = req->region->inst;
	bool unsent;

	spin_lock(&inst->lock);
	unsent = regionfs_request_unsent(req);
	if (unsent)
		regionfs_request_forget(inst, req);
	regionfs_dispatch_unlock(inst);
	if (unsent)
		regionfs_request_end(req, -ECANCELED);
}

/* When the instance is gone, nobody will ever take what is queued. */
void regionfs_request_purge(struct regionfs_instance *inst)
{
	struct regionfs_request *req;

	for (;;) {
		spin_lock(&inst->lock);
		req = inst->gone ? regionfs_first_queued(inst) : NULL;
		if (req)
			regionfs_request_forget(inst, req);
		spin_unlock(&inst->lock);
		if (!req)
			return;
		regionfs_request_end(req, -ENODEV);
	}
}

/* inst->lock held. Is it too old? @limit is for all, the source may be known to need more for a WRITE that the helper has. */
static bool regionfs_request_overdue(const struct regionfs_request *req, unsigned long limit)
{
	if (req->op == REGIONFS_OP_WRITE && req->state == REGIONFS_S_SENT)
		limit = max(limit, req->region->inst->slow);
	return time_after_eq(jiffies, req->started + limit);
}

/* Every second while something is outstanding: takes back what is older than the limit, sends what was delayed. */
void regionfs_takeback_work(struct work_struct *work)
{
	struct regionfs_instance *inst = container_of(work, struct regionfs_instance, takeback.work);
	unsigned long limit = msecs_to_jiffies(READ_ONCE(inst->takeback_ms));
	struct regionfs_request *req, *next;
	LIST_HEAD(victims);

	spin_lock(&inst->lock);
	list_for_each_entry_safe(req, next, &inst->outstanding, in_inst) {
		if (time_before(jiffies, req->started + limit))
			break;
		if (req->busy || !regionfs_request_overdue(req, limit))
			continue;
		trace_regionfs_request_takeback(req, 0, false);
		if (req->op == REGIONFS_OP_READ)
			regionfs_window_pace(req->region, min_t(u32, req->len, SZ_1M), limit);
		regionfs_detach_locked(req, &victims);
	}
	if (!list_empty(&inst->outstanding) || inst->nr_delayed)
		queue_delayed_work(regionfs_wq, &inst->takeback, min_t(unsigned long, HZ, limit / 2 + 1));
	regionfs_dispatch_unlock(inst);
	regionfs_detach_finish(&victims);
}

/* A READ is cut where the file, of @size bytes, ends, beyond which folios are zero: it is done when nothing is left of it. */
void regionfs_request_submit_read(struct regionfs_request *req, loff_t size)
{
	if (req->pos + req->len > size)
		req->len = req->pos < size ? size - req->pos : 0;
	if (req->len) {
		regionfs_request_submit(req);
	} else {
		regionfs_payload_from_user(req, 0);
		regionfs_request_end(req, 0);
	}
}

void regionfs_builder_flush(struct regionfs_builder *b)
{
	if (!b->req)
		return;
	if (b->op == REGIONFS_OP_READ)
		regionfs_request_submit_read(b->req, b->size);
	else
		regionfs_request_submit(b->req);
	b->req = NULL;
}

static bool regionfs_builder_fits(struct regionfs_builder *b, u64 pos, size_t len)
{
	return b->req && b->req->pos + b->req->len == pos && b->req->len + len <= b->max;
}

/* Adds @len (at most @b->max) bytes of @folio. -ENOMEM; nothing was added then. */
int regionfs_builder_add(struct regionfs_builder *b, struct folio *folio, size_t offset, size_t len,
			 struct regionfs_part *part)
{
	u64 pos = folio_pos(folio) + offset;

	if (!regionfs_builder_fits(b, pos, len))
		regionfs_builder_flush(b);
	if (b->req && regionfs_request_add(b->req, folio_page(folio, 0), offset, len, part))
		regionfs_builder_flush(b);
	else if (b->req)
		return 0;
	b->req = regionfs_request_alloc(b->region, b->op, b->gfp);
	if (!b->req)
		return -ENOMEM;
	b->req->pos = pos;
	b->req->flags = b->flags;
	if (b->watch)
		b->watch[b->nr_watch++] = regionfs_request_get(b->req);
	return regionfs_request_add(b->req, folio_page(folio, 0), offset, len, part);
}

int __init regionfs_request_init(void)
{
	regionfs_request_cache = KMEM_CACHE(regionfs_request, SLAB_RECLAIM_ACCOUNT);
	return regionfs_request_cache ? 0 : -ENOMEM;
}

void regionfs_request_exit(void)
{
	kmem_cache_destroy(regionfs_request_cache);
}

/* A reserve for one instance, so that no instance's write-back waits for another's. */
mempool_t *regionfs_request_pool(void)
{
	return mempool_create_slab_pool(16, regionfs_request_cache);
}
