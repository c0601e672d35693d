// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: a group's. FINALIZE is asked for all of its members at once, when each is ready. THE DECISION about all of them is one write, that of the first one's
 * record, which comes when the answers have come for all, whole, and there is room for them in the local stores. The others' records follow; then the kernel lets
 * programs in, at all of them, and the resume hook is run, once. So:
 *
 * - before the first one's record says OWNED none is owned here; if one is refused all are, the first one's refusal before the others';
 * - after it there is no way back for any: one whose record cannot be written is tried again, locked, and the next helper goes forward with one that is not noted as owned yet;
 * - the first one is not done with its record (COMPLETE, and forgotten) before the others have theirs: it waits for them as they for it (group_meet).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

#define RETRY_MS	1000u

/* ---- when to hand over ---- */

static bool is_ready(const struct leecher *leecher)
{
	return leecher->state == LEECHER_PULLING && leecher->wanted && leecher->when.prepared && !leecher->asking &&
	       !leecher->stepping && !leecher->giving_up && leecher->told_round <= leecher->round;
}

static bool check_ready(struct handover *handover, void *arg)
{
	return is_ready(leecher_of(handover));
}

static bool finalize(struct handover *handover, void *arg)
{
	leecher_finalize_now(leecher_of(handover));
	return true;
}

void leecher_group_finalize(struct leecher *leecher)
{
	struct group *group = leecher->handover.group;

	if (!group)
		leecher_finalize_now(leecher);
	else if (group_is_whole(group) && group_each(&leecher->handover, check_ready, NULL))
		group_each(&leecher->handover, finalize, NULL);
}

static bool want(struct handover *handover, void *arg)
{
	struct leecher *leecher = leecher_of(handover);

	if (leecher->wanted)
		return true;
	leecher->wanted = true;
	leecher_next(leecher);
	return true;
}

void leecher_group_want(struct leecher *leecher)
{
	if (leecher->handover.group)
		group_each(&leecher->handover, want, NULL);
}

/* Of those that have not been pulled once nobody knows what is missing. */
static bool add_estimate(struct handover *handover, void *arg)
{
	const struct leecher *leecher = leecher_of(handover);
	struct estimate *sum = arg;

	sum->fixed += leecher->when.estimate.fixed;
	sum->downtime += leecher->when.estimate.downtime;
	sum->behind += leecher->when.estimate.behind;
	sum->room += leecher->when.estimate.room;
	return leecher->when.estimated && leecher->when.pulled_once && leecher->state == LEECHER_PULLING;
}

static bool is_pulled_once(struct handover *handover, void *arg)
{
	return leecher_of(handover)->when.pulled_once;
}

bool leecher_group_pulled(const struct leecher *leecher)
{
	return group_each((struct handover *)&leecher->handover, is_pulled_once, NULL);
}

bool leecher_group_worth(const struct leecher *leecher)
{
	struct estimate sum = { 0 };

	return group_each((struct handover *)&leecher->handover, add_estimate, &sum) &&
	       estimate_is_worth(&sum, leecher->when.max_downtime * 1000000ULL);
}

/* ---- the answers hold no more ---- */

static void begin_again(struct leecher *leecher)
{
	leecher->state = LEECHER_PULLING;
	leecher_not_now(leecher);
	leecher_meet(leecher);
}

static bool meet_again(struct handover *handover, void *first)
{
	struct leecher *leecher = leecher_of(handover);

	/* one that has not come as far as that finds out when it does */
	if (leecher == first || !handover->met || leecher->state != LEECHER_FINALIZING || leecher_leaves(leecher))
		return true;
	handover->met = NULL;
	begin_again(leecher);
	return true;
}

void leecher_group_unasked(struct leecher *leecher)
{
	leecher->handover.met = NULL;
	if (!leecher->handover.group)
		return;
	leecher->handover.group->attempt++;
	group_each(&leecher->handover, meet_again, leecher);
}

void leecher_group_asks(struct leecher *leecher)
{
	if (leecher->handover.group)
		leecher->attempt = leecher->handover.group->attempt;
}

bool leecher_group_outdated(struct leecher *leecher)
{
	const struct group *group = leecher->handover.group;

	if (!group || group->decided || leecher->attempt == group->attempt)
		return false;
	begin_again(leecher);
	return true;
}

/* ---- forward ---- */

bool leecher_group_forward(const struct leecher *leecher)
{
	return leecher->handover.group && leecher->handover.group->decided && leecher->state < LEECHER_OWNED &&
	       !leecher->dropped;
}

static bool is_not_deciding(struct handover *handover, void *arg)
{
	return !leecher_of(handover)->deciding;
}

bool leecher_group_deciding(struct leecher *leecher)
{
	return !group_each(&leecher->handover, is_not_deciding, NULL);
}

static void retry(struct loop_timer *timer)
{
	struct leecher *leecher = container_of(timer, struct leecher, limit);

	if (leecher->state >= LEECHER_OWNED || leecher->regiond->stopping)
		return;
	if (leecher->asking || leecher->stepping)
		/* what comes of that may not lead on */
		loop_timer_set(leecher->regiond->loop, timer, RETRY_MS);
	else if (!leecher->leech)
		leecher_open_again(leecher);
	else if (leecher->owner.epoch)
		leecher_own_now(leecher);
	else
		leecher_meet(leecher);
}

void leecher_group_retry(struct leecher *leecher, const char *why)
{
	snprintf(leecher->why, sizeof(leecher->why), "its group is owned here, and it is to be: %s", why);
	log_error("leeching %s: %s", leecher->path, leecher->why);
	if (!leecher->owner.epoch || !leecher->leech)
		leecher->state = LEECHER_CONNECTING;
	leecher->limit.fire = retry;
	loop_timer_set(leecher->regiond->loop, &leecher->limit, RETRY_MS);
}

/* Who wanted to give up meanwhile was too late. */
static bool follow(struct handover *handover, void *first)
{
	struct leecher *leecher = leecher_of(handover);

	if (leecher == first || leecher->state >= LEECHER_OWNED)
		return true;
	loop_timer_cancel(leecher->regiond->loop, &leecher->limit);
	leecher->limit.fire = NULL;
	leecher->giving_up = leecher->held = false;
	if (leecher->leech && !leecher->asking && !leecher->stepping && leecher->owner.epoch)
		leecher_own_now(leecher);
	else
		leecher_group_retry(leecher, "it was given up just when that was decided");
	return true;
}

void leecher_group_owned(struct leecher *leecher)
{
	struct group *group = leecher->handover.group;

	if (!group || !group_leads(&leecher->handover) || group->decided)
		return;
	group->decided = true;
	if (group->aborting)
		control_fail(group->aborting, -EBUSY, "the group %s is owned here by now: to give it back, seed it", group->name);
	group->aborting = NULL;
	group_each(&leecher->handover, follow, leecher);
}

/* ---- giving up ---- */

struct failure {
	struct leecher *first;
	int error;
	char why[WIRE_TEXT_MAX];
};

static bool fail(struct handover *handover, void *arg)
{
	const struct failure *failure = arg;

	if (leecher_of(handover) != failure->first)
		leecher_fail(leecher_of(handover), failure->error, failure->why);
	return true;
}

void leecher_group_fail(struct leecher *leecher, int error, const char *why)
{
	struct failure failure = { .first = leecher, .error = error };

	if (!leecher->handover.group)
		return;
	snprintf(failure.why, sizeof(failure.why), "%.300s: %.700s", leecher->path, why);
	group_each(&leecher->handover, fail, &failure);
}

bool leecher_group_holds(struct leecher *leecher)
{
	const struct group *group = leecher->handover.group;
	struct handover *lead = group ? group_lead(group) : NULL;

	/* one that has left the list may not have said so on the disk yet; a dropped one refuses nothing */
	if (group_leads(&leecher->handover) || group->refused || leecher->dropped || (lead && !leecher_of(lead)->asked_ever))
		return false;
	leecher->held = true;
	return true;
}

static bool let_go(struct handover *handover, void *arg)
{
	struct leecher *leecher = leecher_of(handover);

	if (!leecher->held)
		return true;
	leecher->held = false;
	leecher_ended(leecher, leecher->error);
	return true;
}

void leecher_group_refused(void *arg)
{
	struct group *group = arg;

	group->refused = true;
	if (!list_empty(&group->members))
		group_each(list_entry(group->members.next, struct handover, members), let_go, NULL);
	group_put(group);
}

/* ---- for who has asked ---- */

static bool has_begun(struct handover *handover, void *arg)
{
	return leecher_of(handover)->begun;
}

void leecher_group_begun(struct leecher *leecher)
{
	struct group *group = leecher->handover.group;

	leecher->begun = true;
	if (!group || !group->detach || !group->call || !group_is_whole(group) || !group_each(&leecher->handover, has_begun, NULL))
		return;
	control_ok(group->call, group_show(group));
	group->call = NULL;
}

/* ---- the next helper ---- */

void leecher_group_nothing(struct handover *handover)
{
}

static void go_on(struct handover *handover)
{
	leecher_go_on(leecher_of(handover));
}

/* What one of them has heard is said of all. */
static bool diverge(struct handover *handover, void *arg)
{
	struct leecher *leecher = leecher_of(handover);

	if (leecher->state == LEECHER_DIVERGED)
		leecher_group_diverge(leecher, "its group was taken back by the other side's operator");
	return true;
}

/* Those that are owned wait until all are. */
static bool go_forward(struct handover *handover, void *arg)
{
	struct leecher *leecher = leecher_of(handover);

	if (leecher->state == LEECHER_OWNED) {
		leecher->stepping = true;
		group_meet(handover, go_on);
	} else if (leecher->state == LEECHER_DIVERGED) {
		leecher_go_on(leecher);
	}
	leecher_open_again(leecher);
	return true;
}

static bool open_again(struct handover *handover, void *arg)
{
	leecher_open_again(leecher_of(handover));
	return true;
}

static bool is_pulling(struct handover *handover, void *arg)
{
	return leecher_of(handover)->state < LEECHER_OWNED;
}

void leecher_group_restart(struct leecher *leecher)
{
	struct group *group = leecher->handover.group;
	struct handover *lead = group_lead(group);

	if (group->restarted)
		return;
	group->restarted = true;
	group->refused = !lead;
	group->decided = lead ? leecher_of(lead)->state >= LEECHER_OWNED : !group_each(&leecher->handover, is_pulling, NULL);
	if (group->decided && group_each(&leecher->handover, diverge, NULL))
		group_each(&leecher->handover, go_forward, NULL);
	else if (group_is_whole(group))
		group_each(&leecher->handover, open_again, NULL);
	else
		leecher_fail(leecher, -ECANCELED, "not all of its group are here: it did not get as far as that, or some were removed");
}
