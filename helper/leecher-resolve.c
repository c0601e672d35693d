// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: the other side has put the region back into service, by its operator's word, while it is owned here. What both have from then on is not
 * the same any more, so nothing is fetched from there, and the region is frozen here as it is there, until the operators say which one is
 * to be kept (seeder-resolve.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "leecher-private.h"
#include "log.h"
#include "managed-event.h"
#include "places.h"
#include "regiond.h"

/* ---- divergence ---- */

static void locked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct leecher *leecher = arg;

	if (error)
		log_error("%s has two owners, and could be neither frozen nor locked: %s", leecher->path, why);
	else
		leecher->handover.region->info.flags |= REGIONFS_REGION_LOCKED;
	leecher_stepped(leecher);
}

/* What is dirty may have nowhere to go, where its chunk has not been fetched: a lock needs nothing written. */
static void froze(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct leecher *leecher = arg;
	struct handover_ask *ask;

	if (!error) {
		leecher_stepped(leecher);
		return;
	}
	log_warning("%s has two owners, and could not be frozen: %s", leecher->path, why);
	ask = handover_ask_new(leecher->handover.region, REGIONFS_CMD_LOCK, locked, leecher);
	if (ask)
		handover_ask(ask, leecher->handover.region);
	else
		locked(leecher, -ENOMEM, "out of memory", NULL);
}

static void written(void *arg, int error)
{
	struct leecher *leecher = arg;
	struct handover_ask *ask;

	if (error)
		log_error("that %s has two owners could not be written down: %s", leecher->path, strerror(-error));
	/* it was never let in: a lock is as good */
	if (leecher->handover.region->info.flags & REGIONFS_REGION_LOCKED && !leecher->owned) {
		leecher_stepped(leecher);
		return;
	}
	ask = handover_ask_new(leecher->handover.region, REGIONFS_CMD_FREEZE, froze, leecher);
	if (!ask) {
		froze(leecher, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, DEADLINE, deadline, HOOK_TIMEOUT_MS);
	handover_ask(ask, leecher->handover.region);
}

void leecher_diverge(struct leecher *leecher, const char *why)
{
	if (leecher->state != LEECHER_OWNED || !leecher->leech)
		return;
	snprintf(leecher->why, sizeof(leecher->why), "%s", why);
	log_error("leeching %s: %s", leecher->path, why);
	leecher->state = LEECHER_DIVERGED;
	leecher_heard(leecher, -EBUSY, why);
	leech_part(leecher->leech);
	/* a step that is under way looks at the state when it ends */
	if (!leecher->stepping)
		leecher_diverge_now(leecher);
	leecher_group_diverge(leecher, why);
}

void leecher_diverge_again(struct leecher *leecher)
{
	leecher->stepping = true;
	written(leecher, 0);
}

void leecher_diverge_now(struct leecher *leecher)
{
	if (leecher->diverged)
		return;
	leecher->diverged = leecher->stepping = true;
	leech_note_diverged(leecher->leech, written, leecher);
}

/* ---- which one is kept ---- */

static void answer(struct leecher *leecher, int error, const char *why)
{
	struct control_call *call = leecher->resolving;

	leecher->resolving = NULL;
	if (call && error)
		control_fail(call, error, "%s", why);
	else if (call)
		control_ok(call, NULL);
}

static void thawed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct leecher *leecher = arg;

	if (error)
		log_warning("leeching %s: %s", leecher->path, why);
	answer(leecher, 0, "");
	leecher->lost = leecher->leech && leech_is_lost(leecher->leech);
	leecher->all_here = !leecher->lost;
	if (leecher->lost)
		leecher->state = LEECHER_OWNED;
	leecher_stepped(leecher);
	/* nothing may be missing */
	if (leecher->lost && leecher->leech)
		leech_pull(leecher->leech, false);
}

static void let_in(struct leecher *leecher)
{
	uint32_t flags = leecher->handover.region->info.flags;
	uint8_t cmd = flags & REGIONFS_REGION_LOCKED ? REGIONFS_CMD_UNLOCK : REGIONFS_CMD_THAW;
	struct handover_ask *ask = handover_ask_new(leecher->handover.region, cmd, thawed, leecher);

	if (ask)
		handover_ask(ask, leecher->handover.region);
	else
		thawed(leecher, -ENOMEM, "out of memory", NULL);
}

static void kept(void *arg, int error)
{
	struct leecher *leecher = arg;

	if (!error) {
		let_in(leecher);
		return;
	}
	leecher->stepping = false;
	answer(leecher, error, "it could not be written down");
}

static void keep(struct leecher *leecher, struct control_call *call)
{
	leecher->resolving = call;
	leecher->stepping = true;
	leech_keep(leecher->leech, kept, leecher);
}

static void removed(void *arg, int error, const char *why)
{
	struct leecher *leecher = arg;

	answer(leecher, error, why);
	leecher->error = -ECANCELED;
	leecher->giving_up = !error;
	leecher_stepped(leecher);
}

static void discard(struct leecher *leecher, struct control_call *call)
{
	leecher->resolving = call;
	leecher->stepping = true;
	handover_remove(leecher->handover.region, removed, leecher);
}

/* ---- the other side is lost ---- */

static void lost_end(struct leecher *leecher)
{
	void (*waited)(struct handover *handover) = leecher->waited;

	leecher->waited = NULL;
	if (waited)
		group_meet(&leecher->handover, waited);
	else
		leecher_stepped(leecher);
}

static void also_noted(struct state_waiter *waiter, int error)
{
	struct leecher *leecher = container_of(waiter, struct leecher, noted);

	answer(leecher, error, "where else its bytes may be could not be written down");
	lost_end(leecher);
}

static void lost_noted(void *arg, int error)
{
	struct leecher *leecher = arg;

	/* nothing may be missing */
	if (!error && leecher->leech)
		leech_pull(leecher->leech, false);
	if (!error)
		leecher_heard(leecher, 0, "");
	if (error || !leecher->also_more) {
		answer(leecher, error, "it could not be written down");
		lost_end(leecher);
		return;
	}
	leecher->also_more = false;
	leecher->noted.done = also_noted;
	state_sync(leecher->regiond->state, &leecher->noted);
}

static void lose(struct leecher *leecher, struct control_call *call)
{
	const struct chunkmap *map = leech_map(leecher->leech);
	uint64_t missing = chunkmap_missing(map) * chunkmap_chunk(map);

	if (leecher_add_also(call, leecher))
		return;
	snprintf(leecher->why, sizeof(leecher->why), "the other side is lost, and with it %llu bytes%s", (unsigned long long)missing,
		 places_nr(leecher->places) && missing ? ", which are looked for elsewhere" : "");
	managed_event(leecher->handover.region, "source-lost", leecher->why);
	leecher->resolving = call;
	/* while that is written it has not come to where the others are met */
	leecher->waited = leecher->handover.met;
	leecher->handover.met = NULL;
	leecher->stepping = leecher->lost = true;
	leech_lose(leecher->leech, lost_noted, leecher);
}

/* ---- the command ---- */

struct asked {
	struct control_call *call;
	enum resolution resolution;
	const struct leecher *named;
	json_t *args;
};

/* One that waits for the others of its group, and for nothing else. */
static bool only_waits(const struct leecher *leecher)
{
	return leecher->stepping && leecher->handover.met;
}

static bool is_busy(const struct leecher *leecher, enum resolution resolution)
{
	if (leecher_group_drops(leecher, resolution))
		return leecher->deciding || leecher->giving_up;
	return (leecher->stepping && !(resolution == RESOLVE_LOST && only_waits(leecher))) || leecher->resolving || !leecher->leech ||
	       leech_is_noting(leecher->leech);
}

static bool fits(const struct leecher *leecher, enum resolution resolution)
{
	if (resolution == RESOLVE_LOST)
		return leecher->state == LEECHER_OWNED || leecher_group_drops(leecher, resolution);
	return resolution != RESOLVE_OWN && (leecher->state == LEECHER_DIVERGED || leecher_group_drops(leecher, resolution));
}

static bool may_keep(const struct leecher *leecher, struct control_call *call)
{
	const struct chunkmap *map = leech_map(leecher->leech);
	uint64_t missing = chunkmap_missing(map) * chunkmap_chunk(map);
	bool force = false;

	if (control_bool(call, "force", &force))
		return false;
	if (missing && !force && leech_is_volatile(leecher->leech))
		control_fail(call, -ENODATA, "%llu bytes of %s were not fetched before: with --force accesses to them fail, until they are overwritten",
			     (unsigned long long)missing, leecher->path);
	else if (missing && !force && leecher->policy)
		control_fail(call, -ENODATA, "%llu bytes of %s were not fetched before: with --force they read as %s has them, which the other host may have "
			     "pushed to since", (unsigned long long)missing, leecher->path, leecher->local);
	else if (missing && !force)
		control_fail(call, -ENODATA, "%llu bytes of %s were not fetched before: with --force they read as zeroes",
			     (unsigned long long)missing, leecher->path);
	return !missing || force;
}

/* Of a group all are asked before anything is done to one. false: the call has been failed. */
static bool may_resolve(struct handover *handover, void *arg)
{
	const struct leecher *leecher = leecher_of(handover);
	const struct asked *asked = arg;

	if (leecher->state >= LEECHER_COMPLETE && leecher != asked->named)
		return true;
	if (asked->resolution == RESOLVE_KEEP && leecher_group_never_owned(leecher))
		control_fail(asked->call, -EINVAL, "%s was never handed over to here, and without it its group is not whole: all of it can be discarded",
			     leecher->path);
	else if (!fits(leecher, asked->resolution))
		control_fail(asked->call, -EINVAL, "%s: there is nothing to resolve here%s", leecher->path, leecher_group_remedy(leecher));
	else if (is_busy(leecher, asked->resolution))
		control_fail(asked->call, -EBUSY, "%s is changing its state just now", leecher->path);
	else if (asked->resolution == RESOLVE_DISCARD && leecher->handover.region->behind == &leecher->handover)
		control_fail(asked->call, -EBUSY, "%s is being seeded: abort that first", leecher->path);
	else
		return asked->resolution != RESOLVE_KEEP || may_keep(leecher, asked->call);
	return false;
}

static void resolve_one(struct leecher *leecher, struct control_call *call, enum resolution resolution)
{
	if (resolution == RESOLVE_LOST)
		lose(leecher, call);
	else if (resolution == RESOLVE_KEEP)
		keep(leecher, call);
	else
		discard(leecher, call);
}

/* Those that are dropped come after these, which wait for them. */
static bool resolve_each(struct handover *handover, void *arg)
{
	struct leecher *leecher = leecher_of(handover);
	const struct asked *asked = arg;
	struct control_failure failure;
	struct control_call *call;

	if (leecher->state >= LEECHER_COMPLETE || leecher_group_drops(leecher, asked->resolution))
		return true;
	if (leecher == asked->named) {
		resolve_one(leecher, asked->call, asked->resolution);
		return true;
	}
	call = control_part(leecher->regiond, json_incref(asked->args), handover->region, &failure);
	if (!call)
		return true;
	resolve_one(leecher, call, asked->resolution);
	/* what it ends with is not waited for */
	if (leecher->resolving == call)
		call->failure = NULL;
	else if (failure.error)
		log_warning("leeching %s: %s", leecher->path, failure.why);
	return true;
}

void leecher_resolve(struct control_call *call, struct region *region, enum resolution resolution)
{
	struct leecher *leecher = leecher_of(handover_in(region, HANDOVER_LEECHER));
	struct group *group = leecher->handover.group ? group_get(leecher->handover.group) : NULL;
	struct asked asked = { .named = leecher, .resolution = resolution, .call = call, .args = call->args };
	bool drops = leecher_group_drops(leecher, resolution);

	if (group_each(&leecher->handover, may_resolve, &asked)) {
		json_incref(asked.args);
		group_each(&leecher->handover, resolve_each, &asked);
		leecher_group_drop(group, resolution, drops ? leecher : NULL, drops ? call : NULL);
		json_decref(asked.args);
	}
	group_put(group);
}
