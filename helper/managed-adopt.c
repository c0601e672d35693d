// SPDX-License-Identifier: GPL-2.0
/*
 * managed: a source that several hosts can reach changes hands together with its region. On the host that the region comes to, the store is filled by the leech
 * (backends/leech.c) while the source is still the other one's; once the region is owned here, it is pushed to. On the host that gives the region away
 * nothing is pushed from the moment on in which the other one may own it, and the source is open for reading alone: chunks that the other side
 * has not got yet may be there only.
 *
 * Until the decision the store's content is no region's, nor is it when the region has moved away for good. A mark beside it says so, for whoever finds it
 * when the leech, or the region, is gone without having removed it: it is never pushed, but cleared.
 *
 * Nothing is pushed until all is here. Of a chunk that is not, the store may have what it was some rounds ago, while the source has what it was at the
 * hand-over, maybe alone: the other host reads it from there when it is asked for it. What is not to come any more is dropped from the store before. A store in
 * memory is to be drained then: a reboot takes what was written here, and as long as nothing was pushed the region goes on from what was handed over.
 *
 * The store has all of the region to push, once, and until that is done the source alone is no state that the region ever had. Another mark beside it says so
 * ("owes"): meanwhile an fsync ends with the store, other regions do not wait for this one's changes, and its writers are not slowed for what they have not written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adopter.h"
#include "dirs.h"
#include "log.h"
#include "managed-mark.h"
#include "managed-private.h"
#include "region-private.h"
#include "seeder.h"

bool managed_adopt_waits(const struct managed *managed)
{
	return managed->adopting.on && !(managed->adopting.owned && managed->adopting.pushing);
}

bool managed_is_handed(const struct managed *managed)
{
	return managed->handed;
}

bool managed_is_coming(const struct managed *managed)
{
	return managed->adopting.on && !managed->adopting.owned;
}

bool managed_is_held(const struct managed *managed)
{
	return managed->handed || managed->diverged || managed_adopt_waits(managed);
}

/* Where two hosts have it, what is dirty must be somewhere so that it can be frozen, and the source may be the other one's. */
bool managed_adopt_syncs_here(const struct managed *managed)
{
	return managed->adopting.on || managed->adopting.undrained || managed->handed ||
	       (managed->region->info.given & REGION_GIVEN_SOURCE && seeder_is_diverged(&managed->region->info));
}

/* ---- the mark ---- */

static int set_mark(struct loop_work *work)
{
	return managed_mark_set(container_of(work, struct managed, adopting.work)->adopting.mark);
}

static void marked(struct loop_work *work, int res)
{
	struct managed *managed = container_of(work, struct managed, adopting.work);

	if (res)
		managed_open_failed(managed, res, "the local store cannot be marked as one that is being filled");
	else
		managed_store_ready(managed);
}

static void mark(struct managed *managed)
{
	managed->adopting.work.work = set_mark;
	managed->adopting.work.done = marked;
	loop_work(managed_loop(managed), &managed->adopting.work);
}

/* Neither comes back in a power cut: whoever finds the first clears what is a region's by then. */
static int remove_marks(struct loop_work *work)
{
	struct managed *managed = container_of(work, struct managed, adopting.work);

	if ((unlink(managed->adopting.mark) && errno != ENOENT) || (unlink(managed->adopting.owes) && errno != ENOENT))
		return -errno;
	return dirs_sync_parent(managed->adopting.mark);
}

/* It is a region's, which has all of it to push. */
static int turn_mark(struct loop_work *work)
{
	struct managed *managed = container_of(work, struct managed, adopting.work);

	if (rename(managed->adopting.mark, managed->adopting.owes) && errno != ENOENT)
		return -errno;
	return dirs_sync_parent(managed->adopting.mark);
}

static void unmark(struct managed *managed, int (*how)(struct loop_work *work), void (*done)(struct loop_work *work, int res))
{
	managed->adopting.work.work = how;
	managed->adopting.work.done = done;
	loop_work(managed_loop(managed), &managed->adopting.work);
}

void managed_adopt_forget(struct managed *managed)
{
	if (*managed->adopting.mark)
		unlink(managed->adopting.mark);
	if (*managed->adopting.owes)
		unlink(managed->adopting.owes);
}

static void unmarked(struct loop_work *work, int res)
{
	struct managed *managed = container_of(work, struct managed, adopting.work);
	struct list syncs, *entry;

	managed->adopting.unmarking = false;
	managed->adopting.marked = res != 0;
	list_init(&syncs);
	list_splice(&syncs, &managed->adopting.syncs);
	while ((entry = list_pop(&syncs)))
		managed_sync_again(entry, res);
	managed->nr_busy--;
	managed_idle(managed);
}

static void unmark_behind(struct managed *managed)
{
	managed->adopting.unmarking = true;
	managed->nr_busy++;
	unmark(managed, turn_mark, unmarked);
}

bool managed_adopt_waits_for_mark(struct managed *managed, struct list *entry)
{
	if (!managed->adopting.marked)
		return false;
	list_add(&managed->adopting.syncs, entry);
	if (!managed->adopting.unmarking)
		unmark_behind(managed);
	return true;
}

/* ---- what is in the store ---- */

static void cleared_unmarked(struct loop_work *work, int res)
{
	struct managed *managed = container_of(work, struct managed, adopting.work);

	if (res)
		managed_open_failed(managed, res, "the mark of what an earlier move has left cannot be removed");
	else
		managed_open_store(managed);
}

static void cleared(void *arg)
{
	struct managed *managed = arg;

	managed->adopting.clear = managed->adopting.fresh = false;
	unmark(managed, remove_marks, cleared_unmarked);
}

static void owned_unmarked(struct loop_work *work, int res)
{
	struct managed *managed = container_of(work, struct managed, adopting.work);

	managed->adopting.marked = res != 0;
	managed_store_ready(managed);
}

static void clear(struct managed *managed)
{
	struct store *store = managed->store;

	log_info("region %s: what an earlier move has left in %s goes", managed->region->info.path, managed->adopting.mark);
	managed->store = NULL;
	store_remove(store, cleared, managed);
}

/* Bytes that a source has not got are not to be taken for those that are about to come, nor pushed behind them. */
static bool is_in_the_way(struct managed *managed, char *why, size_t len)
{
	char dir[3900], left[4096];

	managed_store_dir(managed, dir, sizeof(dir));
	managed_left_dir(managed, left, sizeof(left));
	if (!store_gen_oldest(managed->store) && (managed->policy.local != LOCAL_MEMORY || access(left, F_OK)))
		return false;
	snprintf(why, len, "%s has what this source has not got, from an earlier region. Where this source may have been changed since, by "
		 "another host, say, that is too old: remove the directory. Only where it has not, add that region again with the same source and store, and "
		 "push it", store_gen_oldest(managed->store) ? dir : left);
	return true;
}

static uint64_t newest_gen(const struct managed *managed)
{
	struct store_gen *gen = store_gen_oldest(managed->store), *after;

	while (gen && (after = store_gen_after(managed->store, gen)))
		gen = after;
	return gen ? gen->gen : 0;
}

void managed_adopt_look(struct managed *managed)
{
	char dir[3900], why[4400];
	bool is_marked;

	managed_store_dir(managed, dir, sizeof(dir));
	snprintf(managed->adopting.mark, sizeof(managed->adopting.mark), "%s.leech", dir);
	snprintf(managed->adopting.owes, sizeof(managed->adopting.owes), "%s.owes", dir);
	managed->adopting.undrained = !access(managed->adopting.owes, F_OK) && store_was_there(managed->store);
	managed->adopting.upto = newest_gen(managed);
	is_marked = !access(managed->adopting.mark, F_OK);
	if (managed->adopting.fresh && !is_marked && is_in_the_way(managed, why, sizeof(why))) {
		managed_open_failed(managed, -EEXIST, why);
		return;
	}
	managed->adopting.clear = managed->adopting.on ? managed->adopting.fresh && (is_marked || store_was_there(managed->store)) : is_marked;
	if (managed->adopting.clear)
		clear(managed);
	else if (managed->adopting.on && !managed->adopting.owned)
		mark(managed);
	else if (managed->adopting.on)
		unmark(managed, turn_mark, owned_unmarked);
	else
		managed_store_ready(managed);
}

/* ---- it is this host's ---- */

void managed_adopt(struct managed *managed)
{
	if (!managed->adopting.on || managed->adopting.owned)
		return;
	managed->adopting.owned = managed->adopting.marked = true;
	if (!managed->closing)
		unmark_behind(managed);
}

void managed_adopt_push(struct managed *managed)
{
	if (managed->closing || managed->adopting.pushing || !managed->pusher)
		return;
	managed->adopting.pushing = true;
	pusher_hold(managed->pusher, managed_is_held(managed));
	remote_go(managed->remote);
}

static void dropped(struct store_io *io, int error)
{
	struct managed *managed = container_of(io, struct managed, adopting.drop);

	managed->nr_busy--;
	managed->adopting.dropped(managed->adopting.dropped_arg, error);
	managed_idle(managed);
}

static void drop(struct managed *managed, uint64_t offset, uint64_t length, void (*done)(void *arg, int error), void *arg)
{
	struct store_io *io = &managed->adopting.drop;

	if (managed->closing || managed->adopting.pushing) {
		done(arg, -ESHUTDOWN);
		return;
	}
	/* what waits for room that only pushing could bring, and that not before this has ended */
	managed_fail_no_room(managed, UINT64_MAX, -ENOSPC);
	memset(io, 0, sizeof(*io));
	io->offset = offset;
	io->length = length;
	io->done = dropped;
	managed->adopting.dropped = done;
	managed->adopting.dropped_arg = arg;
	managed->nr_busy++;
	store_void(managed->store, io);
}

/* ---- the source has all of it ---- */

static void settled(struct managed *managed)
{
	managed->adopting.undrained = false;
	if (managed->pusher)
		pusher_settle(managed->pusher);
	/* should it come back in a power cut, it is only found to be settled once more */
	unlink(managed->adopting.owes);
	log_info("region %s: its source has all of it now", managed->region->info.path ? managed->region->info.path : "?");
}

void managed_adopt_pushed(struct managed *managed)
{
	const struct store_gen *oldest = managed->store ? store_gen_oldest(managed->store) : NULL;

	if (!managed->store || managed->closing)
		return;
	/* one that is lost has nothing either */
	if (!oldest && !atomic_load(&managed->missing_bytes))
		region_drained(managed->region);
	if (managed->adopting.on)
		return;
	if (managed->adopting.undrained && !managed->handed && (!oldest || oldest->oldest > managed->adopting.upto))
		settled(managed);
	/* which is not to be had while there is something; again by and by */
	if (!managed->adopting.undrained && !oldest)
		managed_join_barriers(managed);
}

static void adopt_drained(struct pusher_wait *wait, int error)
{
	struct managed *managed = container_of(wait, struct managed, adopting.wait);
	void (*then)(void *arg, int error) = managed->adopting.drained;

	managed->adopting.drained = NULL;
	if (!error)
		settled(managed);
	then(managed->adopting.drained_arg, error);
}

/* What was written here is not had from the other host again, should this one be booted from here on: whoever asks for it knows. */
static void adopt_drain(struct managed *managed, void (*done)(void *arg, int error), void *arg)
{
	if (managed->closing || managed->adopting.drained || !managed->pusher) {
		done(arg, -ESHUTDOWN);
		return;
	}
	managed->adopting.drained = done;
	managed->adopting.drained_arg = arg;
	managed->adopting.wait.done = adopt_drained;
	managed_adopt_push(managed);
	pusher_flush(managed->pusher, &managed->adopting.wait);
}

const char *managed_adopt_state(const struct managed *managed, const char **why)
{
	static char text[256];

	*why = "";
	if (!managed->adopting.owned)
		return "after the hand-over";
	if (managed_adopt_waits(managed))
		return "when all is here";
	if (remote_state(managed->remote) == REMOTE_UP)
		return "ours";
	if (remote_error(managed->remote, text, sizeof(text)))
		*why = text;
	return "waiting for it";
}

/* ---- it is another host's ---- */

void managed_adopt_missing(struct managed *managed)
{
	const struct region_info *info = &managed->region->info;

	/* of one with two owners nobody asks for anything here */
	if (!(info->given & REGION_GIVEN_MEMORY) || !seeder_is_left(info) || seeder_is_diverged(info))
		return;
	if (managed->policy.local != LOCAL_MEMORY || (store_was_there(managed->store) && !(info->given & REGION_GIVEN_LOST)))
		return;
	/* what comes into the store from here on is not to be taken for what was lost, by the next helper */
	region_lost(managed->region);
	log_error("region %s was handed over, and what its source had not got of it was in memory, and is lost: who asks for its bytes gets EIO",
		  info->path ? info->path : "?");
	atomic_store(&managed->missing_bytes, true);
}

void managed_found(struct managed *managed)
{
	atomic_store(&managed->missing_bytes, false);
}

void managed_hand_over(struct managed *managed, bool handed)
{
	if (managed->handed == handed || managed->closing)
		return;
	managed->handed = handed;
	/* what the source becomes from here on is not what is here: its version is not to be taken for this one's */
	managed->version.known = managed->version.known && !handed;
	log_info("region %s: %s", managed->region->info.path ? managed->region->info.path : "?",
		 handed ? "nothing of it is pushed from here any more" : "it is pushed again");
	if (managed->pusher)
		pusher_hold(managed->pusher, managed_is_held(managed));
	/* other regions' changes do not wait for what is not pushed; back in service, it joins them when it has nothing left (managed_adopt_pushed()) */
	if (managed->pusher && handed)
		pusher_set_barriers(managed->pusher, NULL);
	if (managed->remote)
		remote_read_only(managed->remote, handed);
	if (managed->puller && !handed)
		puller_kick(managed->puller);
}

void managed_diverge(struct managed *managed, bool diverged)
{
	if (managed->diverged == diverged || managed->closing)
		return;
	managed->diverged = diverged;
	log_info("region %s: %s", managed->region->info.path ? managed->region->info.path : "?",
		 diverged ? "two hosts have it, and nothing is pushed until one of them gives it up" : "it is pushed again");
	if (managed->pusher)
		pusher_hold(managed->pusher, managed_is_held(managed));
}

static void forgone(struct loop_work *work, int res)
{
	struct managed *managed = container_of(work, struct managed, adopting.work);

	if (res)
		log_warning("region %s has moved; what is here of it, which nobody may use any more, could not be marked: %s",
			    managed->region->info.path ? managed->region->info.path : "?", strerror(-res));
	managed->nr_busy--;
	managed_idle(managed);
}

/* Its region may never be opened here again, after a reboot: whoever finds the store then clears it. */
void managed_forgo(struct managed *managed)
{
	if (!managed->handed || managed->closing || !managed->store || managed->adopting.on || managed->forgone)
		return;
	managed->forgone = true;
	if (managed->pusher && !pusher_stats(managed->pusher)->pushing)
		store_discard_changes(managed->store);
	managed->nr_busy++;
	managed->adopting.work.work = set_mark;
	managed->adopting.work.done = forgone;
	loop_work(managed_loop(managed), &managed->adopting.work);
}

/* ---- for the leech ---- */

static void adopter_open(struct backend_open *open, const char *text, bool fresh, bool owned, bool pushed)
{
	struct managed_adoption adoption = { .fresh = fresh, .owned = owned, .pushed = pushed };
	struct policy policy;
	int ret = policy_parse(&policy, text, open->why, sizeof(open->why));

	if (ret) {
		uri_free(&open->uri);
		open->done(open, NULL, ret);
		return;
	}
	managed_adopt_open(open, &policy, open->owner, &adoption);
	policy_free(&policy);
}

static void adopter_adopt(struct backend *local)
{
	managed_adopt(to_managed(local));
}

static void adopter_diverge(struct backend *local, bool diverged)
{
	managed_diverge(to_managed(local), diverged);
}

static void adopter_let_go(struct backend *local)
{
	managed_let_go(to_managed(local));
}

static bool adopter_is_handed(struct backend *local)
{
	return managed_is_handed(to_managed(local));
}

static bool adopter_is_memory(struct backend *local)
{
	return to_managed(local)->policy.local == LOCAL_MEMORY;
}

static void adopter_drop(struct backend *local, uint64_t offset, uint64_t length, void (*done)(void *arg, int error), void *arg)
{
	drop(to_managed(local), offset, length, done, arg);
}

static void adopter_push(struct backend *local)
{
	managed_adopt_push(to_managed(local));
}

static void adopter_drain(struct backend *local, void (*done)(void *arg, int error), void *arg)
{
	adopt_drain(to_managed(local), done, arg);
}

static bool adopter_owes(struct backend *local)
{
	struct managed *managed = to_managed(local);

	return managed->region->removing && !managed->region->info.discard && !managed->deleted && !managed->handed && !managed->diverged &&
	       managed_adopt_waits(managed) && managed->pusher && managed->store && store_gen_oldest(managed->store);
}

/* The other host drops what is missing here when it hears that nobody needs it. */
static void say_part(const struct managed *managed, uint64_t missing, bool dropped)
{
	const char *path = managed->region->info.path ? managed->region->info.path : "?";
	struct store_stats stats = { .unpushed = 0 };

	if (managed->store)
		store_stats(managed->store, &stats);
	log_warning("region %s was removed before all of it had come: of %llu bytes %s has what the host that it came from had pushed there, and maybe older ones",
		    path, (unsigned long long)missing, managed->backend.uri.text);
	if (!dropped && managed_adopt_waits(managed) && stats.unpushed)
		log_warning("region %s: %llu bytes that were here, and could not be pushed before the others had come, went with it", path,
			    (unsigned long long)stats.unpushed);
}

static void adopter_leave(struct backend *local, const struct adopter_left *left)
{
	struct managed *managed = to_managed(local);
	bool part = managed->region->removing && left->kept && left->missing, discard = !left->kept || managed->region->info.discard;

	if (part && !discard)
		say_part(managed, left->missing, left->dropped);
	if (managed->region->removing && !discard && left->dropped && managed_adopt_waits(managed))
		log_warning("region %s was removed before the host that it came from had heard that it is this one's: push what stays of it here only if it was not taken back there",
			    managed->region->info.path ? managed->region->info.path : "?");
	/* the store may have older bytes of what is missing: never is that to be pushed, by whoever adds the region again */
	if (managed->region->removing || (left->empty && !left->kept))
		managed_forget(managed, discard || (part && !left->dropped && managed_adopt_waits(managed)));
}

const struct adopter managed_adopter = {
	.open = adopter_open,
	.adopt = adopter_adopt,
	.diverge = adopter_diverge,
	.let_go = adopter_let_go,
	.is_handed = adopter_is_handed,
	.is_memory = adopter_is_memory,
	.drop = adopter_drop,
	.push = adopter_push,
	.drain = adopter_drain,
	.owes = adopter_owes,
	.leave = adopter_leave,
};
