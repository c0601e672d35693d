// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: the hand-over. The size is the other side's; then comes the decision, which is one write to stable storage; after it
 * the kernel is told of the new epoch and lets the programs in, while OWNED is on its way to the other side.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "leecher-private.h"
#include "log.h"
#include "moved.h"
#include "regiond.h"

static void note(struct leecher *leecher, const char *what, const char *why)
{
	snprintf(leecher->why, sizeof(leecher->why), "%s: %s", what, why);
	log_error("leeching %s: %s", leecher->path, leecher->why);
}

static void resumed(struct suspend *suspend, int error, const char *why)
{
	struct leecher *leecher = container_of(suspend, struct leecher, suspend);

	leecher->went_on = loop_now_ns();
	if (error)
		note(leecher, "it is owned here", why);
	leecher_note_resumed(leecher);
	leecher_answer_finalize(leecher, 0);
	leecher_stepped(leecher);
}

void leecher_resume(struct leecher *leecher)
{
	leecher->stepping = true;
	leecher->resuming = loop_now_ns();
	if (leecher->resumed)
		leecher->suspend.begun = 0;
	suspend_start(&leecher->suspend, leecher->handover.region, resumed);
}

/* What starts a group is the first member's. */
static void resume(struct handover *handover)
{
	if (!leecher_group_stops(leecher_of(handover), false))
		leecher_resume(leecher_of(handover));
}

static void unlocked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct leecher *leecher = arg;

	if (error)
		note(leecher, "it is owned here, but could not be unlocked (regionctl unlock)", why);
	leecher_unlocked(leecher);
	log_info("%s is owned here, in epoch %llu, after %llu ms; until the rest has come, the other host alone has %llu bytes of it", leecher->path,
		 (unsigned long long)leecher->final.epoch, (unsigned long long)((leecher->owned - leecher->asked) / 1000000),
		 (unsigned long long)leecher_at_risk(leecher));
	group_meet(&leecher->handover, resume);
}

/* Of a group none is let in before the kernel has all of their sizes: one may be a log that the other is to be read with. */
static void unlock(struct handover *handover)
{
	struct leecher *leecher = leecher_of(handover);
	struct handover_ask *ask;

	if (leecher_group_stops(leecher, true))
		return;
	ask = handover_ask_new(leecher->handover.region, REGIONFS_CMD_UNLOCK, unlocked, leecher);
	if (!ask) {
		unlocked(leecher, -ENOMEM, "out of memory", NULL);
		return;
	}
	if (leecher->nr_ranges) {
		ask->call.attrs.ranges = leecher->ranges;
		ask->call.attrs.nr_ranges = leecher->nr_ranges;
		ask->call.attrs.have |= NETLINK_BIT(REGIONFS_A_RANGES);
	}
	handover_ask(ask, leecher->handover.region);
}

/* The kernel's event comes later, maybe after the region's last backend has been opened with the size. Nobody has been let in yet. */
static void take_size(struct leecher *leecher)
{
	struct netlink_attrs told = { 0 };

	netlink_set(&told, REGION, region, leecher->handover.region->info.id);
	netlink_set(&told, SIZE, size, leecher->final.dirty.size);
	region_update(leecher->regiond->regions, &told);
}

static void epoch_set(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct leecher *leecher = arg;

	if (error)
		note(leecher, "the kernel did not take the new epoch", why);
	else
		take_size(leecher);
	group_meet(&leecher->handover, unlock);
}

/* Of a group none is let in before all are noted as owned. */
static void tell_kernel(struct handover *handover)
{
	leecher_tell_kernel(leecher_of(handover));
}

/* From here on there is no way back, only forward. */
static void decided(void *arg, int error)
{
	struct leecher *leecher = arg;

	leecher->stepping = leecher->deciding = false;
	if (error && leecher_group_forward(leecher)) {
		leecher_group_retry(leecher, "that it is owned here could not be written down; it stays locked until it can");
		return;
	}
	if (error) {
		leecher_fail_later(leecher, error, "that it is owned here could not be written down");
		return;
	}
	leecher->state = LEECHER_OWNED;
	leecher->risked = leecher_at_risk(leecher);
	moved_forget(leecher->regiond->config, leecher->handover.region->info.path);
	/* Who wanted to give up while it was written was too late. */
	leecher->giving_up = !leecher->leech;
	if (leecher->aborting)
		control_fail(leecher->aborting, -EBUSY, "%s is owned here by now: to give it back, seed it", leecher->path);
	leecher->aborting = NULL;
	leecher->stepping = true;
	leecher_group_owned(leecher);
	group_meet(&leecher->handover, tell_kernel);
}

void leecher_own_now(struct leecher *leecher)
{
	leecher->stepping = leecher->deciding = true;
	leech_own(leecher->leech, &leecher->owner, decided, leecher);
}

/* The decision about a group is the first one's record. */
static void own_first(struct handover *handover)
{
	if (group_leads(handover))
		leecher_own_now(leecher_of(handover));
}

static void decide(void *arg, int error)
{
	const struct wire_finalize_reply *final;
	struct chunkmap_owner owner = { 0 };
	struct leecher *leecher = arg;

	leecher->stepping = false;
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, "there is no room for it in the local store");
		return;
	}
	if (leecher_group_outdated(leecher))
		return;
	final = &leecher->final;
	owner.epoch = final->epoch;
	owner.lineage = final->lineage;
	/* whoever may hand a file over may not make one here that runs as somebody else */
	owner.mode = final->mode & ~(uint32_t)(S_ISUID | S_ISGID);
	owner.uid = final->uid;
	owner.gid = final->gid;
	memcpy(owner.nonce, final->nonce, sizeof(owner.nonce));
	leecher->owner = owner;
	leecher_hurry(leecher);
	if (leecher_group_forward(leecher))
		leecher_own_now(leecher);
	else
		group_meet(&leecher->handover, own_first);
}

void leecher_tell_kernel(struct leecher *leecher)
{
	struct handover_ask *ask;

	leecher->stepping = true;
	ask = handover_ask_new(leecher->handover.region, REGIONFS_CMD_REGION_SET, epoch_set, leecher);
	if (!ask) {
		epoch_set(leecher, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, EPOCH, epoch, leecher->final.epoch);
	if (leecher->final.lineage)
		netlink_set(&ask->call.attrs, LINEAGE, lineage, leecher->final.lineage);
	netlink_set(&ask->call.attrs, SIZE, size, leecher->final.dirty.size);
	netlink_set(&ask->call.attrs, MODE, mode, leecher->owner.mode);
	if (leecher->owner.uid != UINT32_MAX && leecher->owner.gid != UINT32_MAX) {
		netlink_set(&ask->call.attrs, UID, uid, leecher->owner.uid);
		netlink_set(&ask->call.attrs, GID, gid, leecher->owner.gid);
	}
	handover_ask(ask, leecher->handover.region);
}

void leecher_own(struct leecher *leecher)
{
	if (leecher->giving_up) {
		leecher_fail_later(leecher, leecher->error, leecher->why);
		return;
	}
	leecher->stepping = true;
	leech_set_size(leecher->leech, leecher->final.dirty.size, decide, leecher);
}
