// SPDX-License-Identifier: GPL-2.0
/*
 * Order among the requests of a region: of two that overlap, where one changes bytes, the younger waits until the
 * older was answered. A request that was taken back keeps its place until the helper answers or dies, so that an
 * older write never lands after a newer one.
 *
 * What changes bytes stands in region->ranges, an interval tree of pages (linux/interval_tree_generic.h). All under
 * inst->lock.
 */
#include <linux/interval_tree_generic.h>
#include "request.h"

#define REGIONFS_FIRST(req) ((req)->rb_first)
#define REGIONFS_LAST(req) ((req)->rb_last)

INTERVAL_TREE_DEFINE(struct regionfs_request, rb, u64, rb_subtree, REGIONFS_FIRST, REGIONFS_LAST, static inline,
		     regionfs_range)

static void regionfs_order_span(struct regionfs_request *req)
{
	req->rb_first = req->pos >> PAGE_SHIFT;
	req->rb_last = (req->pos + max_t(u64, req->len, 1) - 1) >> PAGE_SHIFT;
	if (req->op == REGIONFS_OP_RESIZE) {
		req->rb_first = min(req->pos, req->arg) >> PAGE_SHIFT;
		req->rb_last = U64_MAX;
	} else if (req->op == REGIONFS_OP_DESTROY) {
		req->rb_first = 0;
		req->rb_last = U64_MAX;
	}
}

static bool regionfs_order_conflicts(struct regionfs_request *req)
{
	struct rb_root_cached *ranges = &req->region->ranges;
	struct regionfs_request *other;

	for (other = regionfs_range_iter_first(ranges, req->rb_first, req->rb_last); other;
	     other = regionfs_range_iter_next(other, req->rb_first, req->rb_last))
		if (other->id < req->id)
			return true;
	return false;
}

/* Enters a request that has its id; true when it may be sent now. SYNC depends on nothing but what was answered. */
bool regionfs_order_add(struct regionfs_request *req)
{
	if (req->op == REGIONFS_OP_SYNC)
		return true;
	regionfs_order_span(req);
	if (req->op != REGIONFS_OP_READ) {
		regionfs_range_insert(req, &req->region->ranges);
		req->in_tree = true;
	}
	return !regionfs_order_conflicts(req);
}

/* Leaves; those that waited for it alone are queued. */
void regionfs_order_del(struct regionfs_request *req)
{
	struct regionfs_region *region = req->region;
	struct regionfs_request *next, *tmp;

	if (!req->in_tree)
		return;
	regionfs_range_remove(req, &region->ranges);
	req->in_tree = false;
	list_for_each_entry_safe(next, tmp, &region->blocked, queue) {
		if (regionfs_order_conflicts(next))
			continue;
		list_del(&next->queue);
		regionfs_request_queue(next);
	}
}

/* Is something on its way that changes one of these pages at the source? */
bool regionfs_order_pending(struct regionfs_region *region, pgoff_t first, pgoff_t last)
{
	lockdep_assert_held(&region->inst->lock);
	return regionfs_range_iter_first(&region->ranges, first, last);
}

/* Is one of these pages in a WRITE that was taken back and is not answered yet? Takes inst->lock. */
bool regionfs_order_closed(struct regionfs_region *region, pgoff_t first, pgoff_t last)
{
	struct regionfs_request *req;
	bool closed = false;

	spin_lock(&region->inst->lock);
	for (req = regionfs_range_iter_first(&region->ranges, first, last); req && !closed;
	     req = regionfs_range_iter_next(req, first, last))
		closed = req->shell;
	spin_unlock(&region->inst->lock);
	return closed;
}
