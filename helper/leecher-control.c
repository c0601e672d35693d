// SPDX-License-Identifier: GPL-2.0
/* leecher: the commands on a region that is being leeched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leecher-private.h"
#include "regiond.h"

static bool is_owned(struct handover *handover, void *arg)
{
	return leecher_of(handover)->state >= LEECHER_OWNED;
}

static bool is_not_owned(struct handover *handover, void *arg)
{
	return leecher_of(handover)->state < LEECHER_OWNED || leecher_of(handover)->state == LEECHER_FAILED;
}

void leecher_finalize(struct control_call *call, struct region *region)
{
	struct leecher *leecher = leecher_of(handover_of(region));
	struct group *group = leecher->handover.group;
	struct control_call **finalizing = group ? &group->finalizing : &leecher->finalizing;

	if (leecher->state == LEECHER_FAILED) {
		control_fail(call, -ECANCELED, "leeching %s was given up: %s", leecher->path, leecher->why);
	} else if (group_each(&leecher->handover, is_owned, NULL)) {
		control_ok(call, group ? group_show(group) : leecher->handover.show(&leecher->handover));
	} else if (*finalizing) {
		control_fail(call, -EALREADY, "%s is being finalized", leecher->path);
	} else if (!leecher_take_finalize(call, leecher)) {
		*finalizing = call;
		leecher_next(leecher);
		/* it may wait for the others */
		leecher_group_want(leecher);
	}
}

void leecher_abort(struct control_call *call, struct region *region)
{
	struct leecher *leecher = leecher_of(handover_of(region));
	struct group *group = leecher->handover.group;
	struct control_call **aborting = group ? &group->aborting : &leecher->aborting;
	bool decided = group && group->decided, force = false;

	if (control_bool(call, "force", &force))
		return;
	if (*aborting || leecher->state == LEECHER_FAILED || (leecher->giving_up && leecher->state < LEECHER_OWNED))
		control_fail(call, -EALREADY, "leeching %s is being aborted", leecher->path);
	else if (decided || !group_each(&leecher->handover, is_not_owned, NULL))
		control_fail(call, -EBUSY, "%s is owned here: to give it back, seed it", leecher->path);
	else {
		*aborting = call;
		leecher->ending = force;
		leecher_fail(leecher, -ECANCELED, "aborted by the user");
	}
}

/* ---- "rm" ---- */

enum leecher_rest leecher_rest(const struct region *region)
{
	const struct handover *front = handover_of(region);
	const struct leecher *leecher;

	if (!front || front->role != HANDOVER_LEECHER || front->over)
		return LEECHER_REST_NONE;
	leecher = container_of(front, struct leecher, handover);
	if (leecher->state != LEECHER_OWNED)
		return LEECHER_REST_NONE;
	return leecher->lost && !leecher->stepping ? LEECHER_REST_LOST : LEECHER_REST_COMES;
}

bool leecher_has_policy(const struct region *region)
{
	return container_of(handover_of(region), struct leecher, handover)->policy;
}

/* ---- what an earlier helper has left ---- */

static void cleaned(void *arg, int error, const char *why)
{
	if (error)
		control_fail(arg, error, "%s", why);
	else
		control_ok(arg, NULL);
}

/* One without a leecher has not been taken up again: there was no memory, or its source makes no sense. */
void leecher_clean(struct control_call *call, struct region *region)
{
	struct leech_record_head head;

	if (leecher_left(region->regiond, region->info.source, &head))
		control_fail(call, -EINVAL, "%s is not being migrated", region->info.path);
	else if (head.state != LEECH_RECORD_PULLING && head.state != LEECH_RECORD_REFUSED)
		control_fail(call, -EBUSY, "%s is owned here: to give it back, seed it", region->info.path);
	else
		handover_remove(region, cleaned, call);
}
