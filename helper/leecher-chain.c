// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: a region that is owned here, and has not come whole yet, is seeded on: the leecher stands behind the seeder. What the next host reads
 * and is not here is fetched from the one before, so that keeps its bytes until all is here and synced, or the next host has all of
 * it. Whose the region is stays a matter of two hosts at a time: it is handed on once the host before has heard that it is owned here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "leecher-private.h"
#include "regiond.h"
#include "seeder.h"

/* For the host before to hear of it; no program stands still for that. */
#define HEARD_MS 10000u

static struct leecher *leecher_in(const struct region *region)
{
	struct handover *handover = handover_in(region, HANDOVER_LEECHER);

	return handover ? container_of(handover, struct leecher, handover) : NULL;
}

/* ---- "seed" ---- */

bool leecher_takes_seed(struct control_call *call, struct region *region)
{
	struct leecher *leecher = leecher_in(region);

	if (!leecher)
		return false;
	if (leecher->state < LEECHER_OWNED || leecher->state == LEECHER_FAILED)
		control_fail(call, -EBUSY, "%s is on its way here, but not this host's yet: finalize it first, or abort it", leecher->path);
	else if (leecher->state == LEECHER_DIVERGED)
		control_fail(call, -EBUSY, "%s has two owners: 'regionctl resolve' ends that, then it can be seeded", leecher->path);
	else if (!leecher->stepping)
		return false;
	else if (leecher->seeding)
		control_fail(call, -EALREADY, "%s is about to be seeded already", leecher->path);
	else
		leecher->seeding = call;
	return true;
}

bool leecher_bars_seed(const struct region *region)
{
	const struct leecher *leecher = leecher_in(region);

	return leecher && (leecher->stepping || leecher->state < LEECHER_OWNED || leecher->state == LEECHER_DIVERGED || leecher->state == LEECHER_FAILED);
}

/* What stood in its way has ended: a step, or the leecher. */
void leecher_seed_now(struct leecher *leecher)
{
	struct control_call *call = leecher->seeding;

	leecher->seeding = NULL;
	if (call)
		seeder_run(call);
}

/* ---- handing it on ---- */

bool leecher_is_diverged(const struct region *region)
{
	const struct leecher *leecher = leecher_in(region);

	return leecher && leecher->state == LEECHER_DIVERGED;
}

static void pass(struct leecher *leecher, int error, const char *why)
{
	void (*then)(void *, int, const char *) = leecher->pass.then;

	leecher->pass.then = NULL;
	loop_timer_cancel(leecher->regiond->loop, &leecher->pass.limit);
	if (then)
		then(leecher->pass.arg, error, why);
}

void leecher_heard(struct leecher *leecher, int error, const char *why)
{
	pass(leecher, error, why);
}

static void not_heard(struct loop_timer *timer)
{
	struct leecher *leecher = container_of(timer, struct leecher, pass.limit);
	char why[400];

	snprintf(why, sizeof(why), "%.200s has not heard yet that it is owned here: it can be handed on when that is there, or lost for good ('resolve --source-lost')",
		 leecher->from);
	pass(leecher, -EAGAIN, why);
}

static bool may_pass(const struct leecher *leecher)
{
	return leecher->state == LEECHER_COMPLETE || leecher->lost || leecher->all_here || (leecher->leech && leech_is_heard(leecher->leech));
}

void leecher_pass_on(struct region *region, void (*then)(void *arg, int error, const char *why), void *arg)
{
	struct leecher *leecher = leecher_in(region);

	if (!leecher || (leecher->state != LEECHER_DIVERGED && may_pass(leecher))) {
		then(arg, 0, "");
	} else if (leecher->state == LEECHER_DIVERGED) {
		then(arg, -EBUSY, "it has two owners: 'regionctl resolve' ends that");
	} else {
		leecher->pass.then = then;
		leecher->pass.arg = arg;
		leecher->pass.limit.fire = not_heard;
		loop_timer_set(leecher->regiond->loop, &leecher->pass.limit, HEARD_MS);
	}
}

void leecher_pass_cancel(struct region *region)
{
	struct leecher *leecher = leecher_in(region);

	if (leecher)
		pass(leecher, 0, "");
}

/* ---- the next host has all of it ---- */

static void let_go(void *arg, int error)
{
	struct leecher *leecher = arg;

	leecher->stepping = false;
	leecher->let_go.then(leecher->let_go.arg, error);
	leecher->all_here |= !error;
	leecher_stepped(leecher);
}

void leecher_let_go(struct region *region, void (*then)(void *arg, int error), void *arg)
{
	struct leecher *leecher = leecher_in(region);

	if (!leecher || leecher->state == LEECHER_COMPLETE || leecher->all_here) {
		then(arg, 0);
	} else if (leecher->state != LEECHER_OWNED || leecher->stepping || !leecher->leech || leech_is_noting(leecher->leech)) {
		then(arg, -EAGAIN);
	} else {
		leecher->stepping = true;
		leecher->let_go.then = then;
		leecher->let_go.arg = arg;
		leech_let_go(leecher->leech, let_go, leecher);
	}
}

/* ---- the end ---- */

/* Its region, that is not leeched any more, may have somebody who waited for it. */
void leecher_leave_chain(struct leecher *leecher, int error)
{
	struct control_call *call = leecher->seeding;

	pass(leecher, error, error ? leecher->why : "");
	leecher->seeding = NULL;
	if (call && error)
		control_fail(call, error, "%s", leecher->why);
	else if (call)
		seeder_run(call);
}
