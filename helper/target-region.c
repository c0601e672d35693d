// SPDX-License-Identifier: GPL-2.0
/*
 * target: a region of this instance. Its bytes are the backend's and, where programs here have written, the kernel's
 * page cache's. So before a READ is served, what is dirty in its range is written back; and after a peer's WRITE, before
 * it is answered, the kernel is told of a new size (target-size.c) and the range is dropped from the page cache, so that readers
 * here see it. The kernel reads the file of a memory region itself (region-local.c), but only into a locked page, which
 * dropping waits for: what it read before the peer's WRITE was done goes as well.
 *
 * Writers exclude one another: while a peer has the region open for writing, it is read-only here, and a peer is refused
 * while a program here has it open for writing (target-claim.c).
 *
 * Ranges are told to the kernel in batches: while one netlink call is under way, what comes is collected for the next. A
 * request is always covered by a call that began after it came.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "region-private.h"
#include "regiond.h"
#include "target-private.h"

/* A request that needs the kernel before or after the backend. */
struct shared_req {
	struct step step;
	struct size_step size;
	struct shared *shared;
	struct backend_req *outer;
	struct backend_req inner;
};

/* ---- batches ---- */

static void batch_start(struct shared *shared, struct batch *batch);

static void batch_done(struct netlink_call *call, int error, const char *why)
{
	struct batch *batch = container_of(call, struct batch, call);
	struct list done, *entry;

	list_init(&done);
	list_splice(&done, &batch->running);
	batch->busy = false;
	while ((entry = list_pop(&done))) {
		struct step *step = list_entry(entry, struct step, list);

		step->then(step, error);
	}
	/* The target is not closed from within what ends a request: an export settles out of the loop. */
	batch_start(batch->shared, batch);
}

/* One range that covers all: only what is dirty, or cached, costs anything. */
static void batch_range(struct batch *batch, uint64_t *offset, uint64_t *length)
{
	uint64_t from = UINT64_MAX, to = 0;
	bool rest = false;
	struct list *at;

	list_for_each(at, &batch->running) {
		struct step *step = list_entry(at, struct step, list);

		from = step->offset < from ? step->offset : from;
		to = step->end > to ? step->end : to;
		rest |= !step->end;
	}
	*offset = from;
	*length = rest ? 0 : to - from;
}

static void batch_start(struct shared *shared, struct batch *batch)
{
	uint64_t offset, length;

	if (batch->busy || list_empty(&batch->next))
		return;
	list_splice(&batch->running, &batch->next);
	batch_range(batch, &offset, &length);
	memset(&batch->call, 0, sizeof(batch->call));
	batch->call.cmd = batch->cmd;
	batch->call.done = batch_done;
	netlink_set(&batch->call.attrs, REGION, region, shared->region->info.id);
	netlink_set(&batch->call.attrs, OFFSET, offset, offset);
	netlink_set(&batch->call.attrs, LENGTH, length, length);
	batch->busy = true;
	netlink_call(shared->region->regiond->netlink, &batch->call);
}

static void batch_add(struct shared *shared, struct batch *batch, struct step *step)
{
	list_add(&batch->next, &step->list);
	batch_start(shared, batch);
}

/* ---- requests ---- */

static void req_end(struct shared_req *req, int error)
{
	struct backend_req *outer = req->outer;

	if (req->inner.op == BACKEND_READ)
		outer->data = req->inner.data;
	if (req->inner.op == BACKEND_DATA) {
		outer->offset = req->inner.offset;
		outer->length = req->inner.length;
	}
	free(req);
	outer->done(outer, error);
}

static void invalidated(struct step *step, int error)
{
	req_end(container_of(step, struct shared_req, step), error);
}

static void invalidate(struct shared_req *req)
{
	req->step.then = invalidated;
	batch_add(req->shared, &req->shared->invalidate, &req->step);
}

static void sized(struct size_step *step, int error)
{
	struct shared_req *req = container_of(step, struct shared_req, size);

	if (error) {
		req_end(req, error);
		return;
	}
	/* once more: what the kernel was asked before it was told may have been heard since the backend was done */
	region_size_note(req->shared->region, &req->inner);
	invalidate(req);
}

/* Both, as if they were one. */
static void published_add(struct backend_published *all, const struct backend_published *more)
{
	uint64_t from, end;

	if (!more->length)
		return;
	if (!all->length) {
		*all = *more;
		return;
	}
	from = all->offset < more->offset ? all->offset : more->offset;
	end = all->offset + all->length > more->offset + more->length ? all->offset + all->length : more->offset + more->length;
	all->offset = from;
	all->length = end - from;
	if (more->resized || more->size > all->size)
		all->size = more->size;
	all->resized |= more->resized;
}

/* The kernel hears of all that the batch has changed. */
static void published(struct shared_req *req, int error)
{
	struct backend_published *owed = &req->shared->owed;

	req->outer->published = req->inner.published;
	published_add(owed, &req->inner.published);
	if (error) {
		req_end(req, error);
		return;
	}
	req->step.offset = owed->offset;
	req->step.end = owed->resized ? 0 : owed->offset + owed->length;
	req->size.exact = owed->resized;
	req->size.size = owed->size;
	req->size.then = sized;
	memset(owed, 0, sizeof(*owed));
	shared_size(req->shared, &req->size);
}

static void inner_done(struct backend_req *inner, int error)
{
	struct shared_req *req = container_of(inner, struct shared_req, inner);

	if (inner->op == BACKEND_PUBLISH) {
		published(req, error);
	} else if (error || inner->op == BACKEND_READ || inner->op == BACKEND_SYNC || inner->op == BACKEND_DATA ||
		   inner->op == BACKEND_VERSION || inner->flags & BACKEND_STAGED) {
		req_end(req, error);
	} else if (inner->op == BACKEND_DISCARD) {
		invalidate(req);
	} else {
		req->size.exact = inner->op == BACKEND_RESIZE;
		req->size.size = inner->length + (req->size.exact ? 0 : inner->offset);
		req->size.then = sized;
		shared_size(req->shared, &req->size);
	}
}

static void to_backend(struct step *step, int error)
{
	struct shared_req *req = container_of(step, struct shared_req, step);

	if (error)
		req_end(req, error);
	else
		region_submit(req->shared->region->regiond->regions, req->shared->region->info.id,
			      &req->inner);
}

static void fill_req(struct shared_req *req, struct shared *shared, struct backend_req *outer)
{
	struct backend_req *inner = &req->inner;
	bool resize = outer->op == BACKEND_RESIZE;

	req->shared = shared;
	req->outer = outer;
	req->step.offset = resize ? outer->arg : outer->offset;
	req->step.end = resize || outer->op == BACKEND_SYNC || outer->op == BACKEND_VERSION || outer->op == BACKEND_DATA ? 0 : outer->offset + outer->length;
	req->step.then = to_backend;
	inner->op = outer->op;
	/* it is no peer's request, but our own */
	inner->flags = outer->flags & ~BACKEND_PEER;
	inner->offset = outer->offset;
	inner->length = outer->length;
	inner->arg = outer->arg;
	inner->data = outer->data;
	inner->batch = outer->batch;
	inner->first = outer->first;
	inner->attach_gen = shared->region->regiond->attach_gen;
	inner->epoch = shared->region->info.epoch;
	inner->loop = outer->loop;
	inner->done = inner_done;
}

static void shared_submit(struct target *target, struct backend_req *outer)
{
	struct shared *shared = to_shared(target);
	struct shared_req *req;

	if (shared->plain) {
		region_submit(shared->region->regiond->regions, shared->region->info.id, outer);
		return;
	}
	req = calloc(1, sizeof(*req));
	if (!req) {
		outer->done(outer, -ENOMEM);
		return;
	}
	fill_req(req, shared, outer);
	/* a version is of what programs here have written, too; and what they have written need not be a hole at the backend any more */
	if (outer->op == BACKEND_READ || outer->op == BACKEND_SYNC || outer->op == BACKEND_VERSION || outer->op == BACKEND_DATA)
		batch_add(shared, &shared->writeback, &req->step);
	else
		to_backend(&req->step, 0);
}

/* ---- what it is ---- */

static void shared_info(struct target *target, struct wire_info *info)
{
	struct region *region = to_shared(target)->region;
	const struct backend_caps *caps;

	info->size = atomic_load(&region->size);
	info->epoch = region->info.epoch;
	info->lineage = region->info.lineage;
	info->mode = region->info.mode;
	info->flags = WIRE_INFO_DISCARD | WIRE_INFO_RESIZE;
	if (atomic_load(&region->state) != REGION_READY)
		return;
	caps = &region->backend->caps;
	info->chunk = caps->chunk;
	if (caps->fixed_size || region->info.flags & REGIONFS_REGION_FIXED_SIZE)
		info->flags &= ~WIRE_INFO_RESIZE;
	if (caps->read_only)
		info->flags |= WIRE_INFO_READ_ONLY;
	if (caps->publish)
		info->flags |= WIRE_INFO_PUBLISH;
	if (caps->version)
		info->flags |= WIRE_INFO_VERSION;
}

static void shared_close(struct target *target)
{
	struct shared *shared = to_shared(target);

	shared_release(target);
	region_put(shared->region);
	free(shared);
}

static const struct target_ops shared_ops = {
	.submit = shared_submit,
	.info = shared_info,
	.claim = shared_claim,
	.drop = shared_drop,
	.release = shared_release,
	.close = shared_close,
};

static void batch_init(struct shared *shared, struct batch *batch, uint8_t cmd)
{
	batch->shared = shared;
	batch->cmd = cmd;
	list_init(&batch->next);
	list_init(&batch->running);
}

int target_region(struct target **target, struct region *region)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	if (!shared)
		return -ENOMEM;
	shared->target.ops = &shared_ops;
	shared->region = region_get(region);
	list_init(&shared->sizing);
	batch_init(shared, &shared->writeback, REGIONFS_CMD_WRITEBACK);
	batch_init(shared, &shared->invalidate, REGIONFS_CMD_INVALIDATE);
	*target = &shared->target;
	return 0;
}

int target_region_plain(struct target **target, struct region *region)
{
	int ret = target_region(target, region);

	if (!ret)
		to_shared(*target)->plain = true;
	return ret;
}
