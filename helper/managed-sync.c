// SPDX-License-Identifier: GPL-2.0
/*
 * managed: SYNC and DESTROY. A SYNC is a barrier in the instance's order of writes, and is answered when the bytes are where the region's durability
 * says: in the store, or at the source.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "managed-private.h"
#include "policy-hook.h"
#include "region.h"
#include "regiond.h"

struct sync {
	struct list list;		/* managed->adopting.syncs */
	struct managed *managed;
	struct backend_req *outer;
	struct policy_command hook;
	struct store_io io;
	struct pusher_wait wait;
	struct backend_req inner;
	uint64_t nr;			/* unsynced.nr when it set out */
};

/* ---- the end ---- */

static void after_sync(struct managed *managed);

static void after_hook_done(struct policy_command *hook, int error, const char *why)
{
	struct managed *managed = container_of(hook, struct managed, sync_hook);

	if (error)
		log_warning("region %s: the command of after-sync: %s", managed->region->info.path, why);
	managed->sync_hooking = false;
	if (managed->sync_again)
		after_sync(managed);
	managed->nr_busy--;
	managed_idle(managed);
}

/* One at a time; of those that come while it runs, all are one. */
static void after_sync(struct managed *managed)
{
	managed->sync_again = managed->sync_hooking;
	if (managed->sync_hooking || managed->closing || !managed->policy.hook[HOOK_AFTER_SYNC])
		return;
	managed->sync_hooking = true;
	managed->nr_busy++;
	managed_hook(managed, &managed->sync_hook, HOOK_AFTER_SYNC, "synced", after_hook_done);
}

/* Whoever waits for the SYNC does not wait for what is done after it. */
static void sync_end(struct sync *sync, int error)
{
	struct managed *managed = sync->managed;
	struct backend_req *outer = sync->outer;

	free(sync);
	backend_done(outer, error);
	if (!error)
		after_sync(managed);
	managed->nr_busy--;
	managed_idle(managed);
}

/* ---- without a store: changes that a source has answered that isn't there any more ---- */

void managed_note_change(struct managed *managed)
{
	uint64_t opened = remote_opened(managed->remote);

	managed->unsynced.nr++;
	managed->unsynced.lost |= managed->unsynced.any && managed->unsynced.opened != opened;
	managed->unsynced.any = true;
	managed->unsynced.opened = opened;
}

/* The source that has answered this SYNC need not be the one that had what it is about. That is said once. */
static int check_lost(struct sync *sync)
{
	struct managed *managed = sync->managed;
	bool lost = managed->unsynced.lost ||
		    (managed->unsynced.any && managed->unsynced.opened != remote_opened(managed->remote));

	managed->unsynced.lost = false;
	managed->unsynced.opened = remote_opened(managed->remote);
	/* what came meanwhile is not in it */
	managed->unsynced.any = managed->unsynced.nr != sync->nr;
	if (!lost)
		return 0;
	log_error("region %s: its source was opened anew before what it was given was durable: that may be lost", managed->region->info.path);
	return -EIO;
}

/* ---- where the bytes are to be ---- */

static void sync_stored(struct store_io *io, int error)
{
	struct sync *sync = container_of(io, struct sync, io);

	if (sync->managed->pusher)
		pusher_kick(sync->managed->pusher);
	sync_end(sync, error);
}

static void sync_pushed(struct pusher_wait *wait, int error)
{
	sync_end(container_of(wait, struct sync, wait), error);
}

static void sync_through(struct backend_req *req, int error)
{
	struct sync *sync = container_of(req, struct sync, inner);

	/* The next backend, to which it would be given, knows nothing of what this one's source was given. */
	if (error && sync->managed->leaving && (sync->managed->unsynced.any || sync->managed->unsynced.lost)) {
		atomic_store(&sync->managed->backend.lost, true);
		error = -EIO;
	}
	sync_end(sync, error ? error : check_lost(sync));
}

static void sync_go(struct sync *sync)
{
	struct managed *managed = sync->managed;

	if (!managed->store) {
		sync->inner = *sync->outer;
		sync->inner.loop = managed_loop(managed);
		sync->inner.done = sync_through;
		sync->nr = managed->unsynced.nr;
		remote_submit(managed->remote, &sync->inner);
	} else if (managed_adopt_syncs_here(managed)) {
		if (managed_adopt_waits_for_mark(managed, &sync->list))
			return;
		sync->io.done = sync_stored;
		store_sync(managed->store, &sync->io);
	} else if (managed->policy.durability == DURABILITY_REMOTE && managed_waits_no_more(managed)) {
		sync_end(sync, -ESHUTDOWN);
	} else if (managed->policy.durability == DURABILITY_REMOTE) {
		sync->wait.done = sync_pushed;
		pusher_flush(managed->pusher, &sync->wait);
	} else {
		/* what was answered before it is in the generation that ends here */
		barriers_close(managed->region->regiond->barriers);
		sync->io.done = sync_stored;
		store_sync(managed->store, &sync->io);
	}
}

void managed_sync_again(struct list *entry, int error)
{
	struct sync *sync = list_entry(entry, struct sync, list);

	if (error)
		sync_end(sync, error);
	else
		sync_go(sync);
}

static void before_hook_done(struct policy_command *hook, int error, const char *why)
{
	struct sync *sync = container_of(hook, struct sync, hook);

	if (error) {
		log_warning("region %s: the command of before-sync: %s", sync->managed->region->info.path, why);
		sync_end(sync, -EIO);
	} else {
		sync_go(sync);
	}
}

void managed_sync_start(struct managed *managed, struct backend_req *req)
{
	struct sync *sync = managed->closing ? NULL : calloc(1, sizeof(*sync));

	if (!sync) {
		backend_done(req, managed->closing ? -ESHUTDOWN : -ENOMEM);
		return;
	}
	sync->managed = managed;
	sync->outer = req;
	managed->nr_busy++;
	/* what a leech does now and then is nobody's fsync */
	if (managed->policy.hook[HOOK_BEFORE_SYNC] && !(managed->adopting.on && req->flags & BACKEND_BULK))
		managed_hook(managed, &sync->hook, HOOK_BEFORE_SYNC, "syncing", before_hook_done);
	else
		sync_go(sync);
}

/* ---- the end of the bytes ---- */

#define DESTROY_MS 60000u

struct destroy {
	struct managed *managed;
	struct backend_req *outer;	/* NULL: answered */
	struct backend_req inner;
	struct loop_timer timer;
};

static void destroy_answer(struct destroy *destroy, int error)
{
	struct backend_req *outer = destroy->outer;

	loop_timer_cancel(managed_loop(destroy->managed), &destroy->timer);
	destroy->outer = NULL;
	if (outer)
		backend_done(outer, error);
}

static void destroy_end(struct destroy *destroy, int error)
{
	struct managed *managed = destroy->managed;

	managed->destroy = NULL;
	destroy_answer(destroy, error);
	free(destroy);
	managed->nr_busy--;
	managed_idle(managed);
}

static void destroy_done(struct backend_req *req, int error)
{
	destroy_end(container_of(req, struct destroy, inner), error);
}

/* It may still come: closing waits for the source's last word. */
static void destroy_late(struct loop_timer *timer)
{
	destroy_answer(container_of(timer, struct destroy, timer), -ETIMEDOUT);
}

static void destroy_go(struct managed *managed)
{
	struct destroy *destroy = managed->destroy;

	/* too late, and closing */
	if (!destroy->outer) {
		destroy_end(destroy, 0);
		return;
	}
	destroy->inner = *destroy->outer;
	destroy->inner.loop = managed_loop(managed);
	destroy->inner.done = destroy_done;
	remote_submit(managed->remote, &destroy->inner);
}

/*
 * The source's go; what was not pushed yet goes with them, so nothing more is pulled or pushed. A source that is away is not waited for: the kernel
 * waits for the answer.
 */
void managed_destroy_start(struct managed *managed, struct backend_req *req)
{
	struct destroy *destroy = managed->destroy ? NULL : calloc(1, sizeof(*destroy));

	managed_forget(managed, true);
	if (!destroy) {
		backend_done(req, managed->destroy ? -EBUSY : -ENOMEM);
		return;
	}
	destroy->managed = managed;
	destroy->outer = req;
	destroy->timer.fire = destroy_late;
	managed->destroy = destroy;
	managed->nr_busy++;
	loop_timer_set(managed_loop(managed), &destroy->timer, DESTROY_MS);
	managed->parts_closed = destroy_go;
	managed_close_parts(managed);
}
