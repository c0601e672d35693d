// SPDX-License-Identifier: GPL-2.0
/*
 * region-size: how long a region is, as its backend has been told, and getting that to the state directory. The kernel sends
 * no event when a write makes a file grow: the WRITEs that come here are the only ones to tell.
 *
 * size_changes counts what requests have changed, size_mirrored says how much of that was handed to the state log. A
 * request counts before it is answered, so that a SYNC after it sees it; and what was mirrored is told only after the log
 * knows of it, so that whoever finds both alike need only wait for the log.
 */
#include "region-private.h"
#include "regiond.h"

#define SIZE_MS 500

/* ---- requests: any thread ---- */

static void size_changed(struct region *region)
{
	atomic_fetch_add(&region->size_changes, 1);
	region_kick(region);
}

static void size_grow(struct region *region, uint64_t end)
{
	uint64_t size = atomic_load(&region->size);

	if (size > end)
		return;
	atomic_store(&region->size_at, loop_now_ns());
	while (size < end)
		if (atomic_compare_exchange_weak(&region->size, &size, end)) {
			size_changed(region);
			return;
		}
}

static void size_set(struct region *region, uint64_t size)
{
	atomic_store(&region->size_at, loop_now_ns());
	if (atomic_exchange(&region->size, size) != size)
		size_changed(region);
}

void region_size_note(struct region *region, const struct backend_req *req)
{
	const struct backend_published *published = &req->published;

	if (req->flags & BACKEND_STAGED)
		return;
	if (req->op == BACKEND_WRITE)
		size_grow(region, req->offset + req->length);
	else if (req->op == BACKEND_RESIZE)
		size_set(region, req->length);
	else if (req->op == BACKEND_PUBLISH && published->resized)
		size_set(region, published->size);
	else if (req->op == BACKEND_PUBLISH)
		size_grow(region, published->size);
}

bool region_size_mirrored(struct region *region)
{
	return atomic_load(&region->size_mirrored) == atomic_load(&region->size_changes);
}

/* ---- the main loop ---- */

bool region_size_heard(struct region *region, uint64_t size, uint64_t asked_ns)
{
	uint64_t old = atomic_load(&region->size);

	/* What the kernel said before a request changed it comes too late; the exchange fails where one does so just now. */
	if (!asked_ns || atomic_load(&region->size_at) < asked_ns)
		atomic_compare_exchange_strong(&region->size, &old, size);
	size = atomic_load(&region->size);
	if (region->info.size == size)
		return false;
	region->info.size = size;
	return true;
}

void region_mirror_size(struct region *region)
{
	unsigned int changes = atomic_load(&region->size_changes);

	if (changes == atomic_load(&region->size_mirrored))
		return;
	region->info.size = atomic_load(&region->size);
	region_mirror(region);
	atomic_store(&region->size_mirrored, changes);
}

static void size_settled(struct loop_timer *timer)
{
	struct region *region = container_of(timer, struct region, size_timer);

	region_mirror_size(region);
	region_put(region);
}

void region_mirror_size_later(struct region *region)
{
	if (region_size_mirrored(region) || region->size_timer.slot || atomic_load(&region->forgotten))
		return;
	region->size_timer.fire = size_settled;
	region_get(region);
	loop_timer_set(region->regiond->loop, &region->size_timer, SIZE_MS);
}
