// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: a group that is owned here, and that the other side's operator has taken back. Who hears of it for one of them knows it of all, since the operator's word is about
 * all: from then on none is let in, and no program is started. Those that are noted as owned are noted as diverged; those that are not never were, and can only be discarded.
 * Those that wait for each other are released, and find out when they are.
 */
#include <errno.h>
#include <stdio.h>

#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

static bool diverge_too(struct handover *handover, void *why)
{
	handover->apart = true;
	leecher_diverge(leecher_of(handover), why);
	return true;
}

void leecher_group_diverge(struct leecher *leecher, const char *why)
{
	struct group *group = leecher->handover.group;
	char own[WIRE_TEXT_MAX];

	if (!group || group->diverged)
		return;
	snprintf(own, sizeof(own), "%s", why);
	group->diverged = true;
	group_get(group);
	group_each(&leecher->handover, diverge_too, own);
	group_release(group);
	group_put(group);
}

void leecher_group_stuck(struct leecher *leecher)
{
	snprintf(leecher->why, sizeof(leecher->why), "its group is owned here, but the other side has taken it back: it stays locked here, until "
		 "'regionctl resolve --discard'");
	log_error("leeching %s: %s", leecher->path, leecher->why);
	leecher->state = LEECHER_DIVERGED;
	leecher->diverged = leecher->stuck = true;
	leech_part(leecher->leech);
	leecher_group_diverge(leecher, leecher->why);
}

bool leecher_group_stops(struct leecher *leecher, bool locked)
{
	const struct group *group = leecher->handover.group;

	if (!group || !group->diverged)
		return false;
	if (locked)
		leecher->handover.region->info.flags |= REGIONFS_REGION_LOCKED;
	/* one that has no backend just now says so when it has: leecher_group_opened() */
	leecher_group_opened(leecher);
	leecher_answer_finalize(leecher, -ESTALE);
	leecher_stepped(leecher);
	return true;
}

void leecher_group_opened(struct leecher *leecher)
{
	if (leecher->handover.group && leecher->handover.group->diverged)
		leecher_diverge(leecher, "its group was taken back by the other side's operator");
}

/* ---- without those that cannot come any more ---- */

bool leecher_group_never_owned(const struct leecher *leecher)
{
	return leecher->stuck || leecher_group_forward(leecher);
}

bool leecher_group_drops(const struct leecher *leecher, enum resolution resolution)
{
	if (!leecher->handover.group || !leecher->handover.group->decided || leecher->state >= LEECHER_OWNED)
		return false;
	return resolution == (leecher->handover.group->diverged ? RESOLVE_DISCARD : RESOLVE_LOST);
}

const char *leecher_group_remedy(const struct leecher *leecher)
{
	if (leecher->state >= LEECHER_OWNED)
		return "";
	if (!leecher_group_forward(leecher))
		return ", 'regionctl abort' ends it";
	return leecher->handover.group->diverged ? ", --discard gives it up with its group" :
	       ", its group is owned here: it follows when the other side is there; if that is gone for good, say --source-lost, and the group goes on without it";
}

struct dropping {
	enum resolution resolution;
	struct leecher *named;
	struct control_call *call;
};

/* What waits for the other side waits in vain from here on. */
static bool part(struct handover *handover, void *arg)
{
	struct leecher *leecher = leecher_of(handover);
	struct dropping *dropping = arg;

	if (!leecher_group_drops(leecher, dropping->resolution))
		return true;
	loop_timer_cancel(leecher->regiond->loop, &leecher->limit);
	leecher->limit.fire = NULL;
	leecher->dropped = leecher->parted = true;
	if (leecher == dropping->named)
		leecher->aborting = dropping->call;
	if (leecher->leech)
		leech_part(leecher->leech);
	return true;
}

/* ESTALE: the other side is not told. That it gives up would be said of all of the group, some of which are owned here. */
static bool drop(struct handover *handover, void *arg)
{
	struct leecher *leecher = leecher_of(handover);

	if (leecher->dropped)
		leecher_fail(leecher, -ESTALE, "given up by its operator's word: its group goes on without it, or ends with it");
	return true;
}

void leecher_group_drop(struct group *group, enum resolution resolution, struct leecher *named, struct control_call *call)
{
	struct dropping dropping = { .resolution = resolution, .named = named, .call = call };

	if (!group || list_empty(&group->members))
		return;
	group_each(list_entry(group->members.next, struct handover, members), part, &dropping);
	group_each(list_entry(group->members.next, struct handover, members), drop, NULL);
}
