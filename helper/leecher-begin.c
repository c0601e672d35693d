// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: meeting the other side. STATUS tells how far that is: the same for the first time, and for the next helper, ours or its. Who does not
 * track any more has changed chunks that it does not know of, so all of them come again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

/* ---- TRACK ---- */

void leecher_reused(void *arg)
{
	struct leecher *leecher = arg;

	leecher->stepping = false;
	if (leecher_leaves(leecher)) {
		leecher_fail_later(leecher, -ECANCELED, "");
		return;
	}
	leecher_ask_status(leecher);
}

/* Pulling may begin: whatever dies from here on, the next helper goes on with it. */
static void noted(struct state_waiter *waiter, int error)
{
	struct leecher *leecher = container_of(waiter, struct leecher, noted);

	leecher->stepping = false;
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, "the state directory could not be written");
		return;
	}
	leecher->state = LEECHER_PULLING;
	leecher->watch.settled = leecher_settled;
	leecher_begun(leecher);
	leecher_reuse(leecher);
}

static void reserved(void *arg, int error)
{
	struct leecher *leecher = arg;

	leecher->stepping = false;
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, "the state directory has no room for the record of it");
		return;
	}
	leecher->stepping = true;
	leecher->noted.done = noted;
	state_sync(leecher->regiond->state, &leecher->noted);
}

static void sized(void *arg, int error)
{
	struct leecher *leecher = arg;

	leecher->stepping = false;
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, "there is no room for it in the local store");
		return;
	}
	leecher->stepping = true;
	leech_reserve(leecher->leech, reserved, leecher);
}

static void told_kernel(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct leecher *leecher = arg;

	leecher->stepping = false;
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, why);
		return;
	}
	leecher->stepping = true;
	leech_set_size(leecher->leech, leecher->final.dirty.size, sized, leecher);
}

static void tracked(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);
	struct handover_ask *ask;
	struct wire_info info;
	char why[640];

	leecher->asking = false;
	if (error == -EBUSY && !leecher_leaves(leecher)) {
		/* STATUS is outdated */
		leecher_meet(leecher);
		return;
	}
	if (!error && wire_decode(WIRE_S_INFO, leecher->reply, req->got, &info) < 0)
		error = -EPROTO;
	if (!error && !leecher_leaves(leecher) && info.chunk != chunkmap_chunk(leech_map(leecher->leech)))
		error = -EPROTO;
	if (!error && !leecher_leaves(leecher) && !leecher_fits_source(leecher, info.size, why, sizeof(why))) {
		leecher_fail_later(leecher, -EINVAL, why);
		return;
	}
	ask = error || leecher_leaves(leecher) ? NULL :
	      handover_ask_new(leecher->handover.region, REGIONFS_CMD_REGION_SET, told_kernel, leecher);
	if (!ask) {
		leecher_fail_later(leecher, error ? error : -ENOMEM, error ? link_why(req, error) : "out of memory");
		return;
	}
	leecher->final.dirty.size = info.size;
	netlink_set(&ask->call.attrs, SIZE, size, info.size);
	netlink_set(&ask->call.attrs, MODE, mode, info.mode & 0777);
	leecher->stepping = true;
	handover_ask(ask, leecher->handover.region);
}

static void track(struct leecher *leecher)
{
	struct wire_track track = { .chunk = chunkmap_chunk(leech_map(leecher->leech)) };
	int n = wire_encode(WIRE_S_TRACK, &track, leecher->body, sizeof(leecher->body));

	leecher_send(leecher, WIRE_TRACK, (uint32_t)n, tracked);
}

/* ---- STATUS ---- */

/*
 * The list of a round that it has closed, and we have not taken whole, is had again. The map knows which one that is; else it
 * was another map.
 */
static void take_round(struct leecher *leecher, const struct wire_status *status)
{
	struct chunkmap *map = leech_map(leecher->leech);
	uint32_t round = chunkmap_round(map);
	bool tracks = status->state != WIRE_SEED_SERVING;

	if (!tracks || (round != status->round && round + 1 != status->round)) {
		leech_forget_all(leecher->leech);
		chunkmap_set_round(map, tracks ? status->round : 0);
	}
	leecher->round = chunkmap_round(map);
	leecher->told_round = status->state == WIRE_SEED_TRACKING ? status->round : 0;
	leecher->settled = false;
}

static void met(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);
	struct wire_status status;

	leecher->asking = false;
	if (!error && wire_decode(WIRE_S_STATUS, leecher->reply, req->got, &status) < 0)
		error = -EPROTO;
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, error ? link_why(req, error) : "");
		return;
	}
	if (leecher_group_forward(leecher) && status.state != WIRE_SEED_FROZEN && status.state != WIRE_SEED_HANDED_OFF &&
	    status.state != WIRE_SEED_MOVED) {
		leecher_group_stuck(leecher);
		return;
	}
	if (status.state <= WIRE_SEED_HANDED_OFF)
		leecher_spoil(leecher);
	switch (status.state) {
	case WIRE_SEED_SERVING:
	case WIRE_SEED_TRACKING:
		leecher_group_unasked(leecher);
		take_round(leecher, &status);
		track(leecher);
		break;
	case WIRE_SEED_FROZEN:
	case WIRE_SEED_HANDED_OFF:
		/* what it has handed over, or is about to, it says again */
		take_round(leecher, &status);
		leecher->watch.settled = leecher_settled;
		leecher_begun(leecher);
		leecher_finalize_now(leecher);
		break;
	case WIRE_SEED_MOVED:
		/* nobody else is told so: it is ours, and what is here may be the only copy of what was written since */
		snprintf(leecher->why, sizeof(leecher->why), "it has moved to here, of which nothing is written down here: ask on the other side for "
			 "what there is, or %s", leecher_group_forward(leecher) ? "say 'regionctl resolve --source-lost', and its group goes on without it" : "abort");
		log_error("leeching %s: %s", leecher->path, leecher->why);
		break;
	default:
		leecher_fail(leecher, -ESTALE, "the other side was taken back by its operator");
	}
}

/* What moves with others must not move alone: the other side would refuse that, but late. */
static bool is_grouped(const struct leecher *leecher)
{
	const struct session *session = leech_session(leecher->leech);

	return !leecher->handover.group && session && session->info.flags & WIRE_INFO_GROUP;
}

/* Whose next helper is another version's is met again. */
static bool knows_adoption(const struct leecher *leecher)
{
	const struct session *session = leech_session(leecher->leech);

	return !session || session->features & WIRE_FEAT_ADOPT;
}

void leecher_meet(struct leecher *leecher)
{
	leech_set_watch(leecher->leech, &leecher->watch);
	leech_pull(leecher->leech, false);
	leecher->when.pull_at = 0;	/* it begins anew */
	leecher_unthrottled(leecher);
	if (is_grouped(leecher)) {
		leecher_fail(leecher, -EINVAL, "it is seeded in a group, whose regions move together: leech them with --group NAME (the other side's "
			     "'regionctl stat' has the name)");
		return;
	}
	if (leecher_adopts(leecher) && !knows_adoption(leecher)) {
		leecher_fail(leecher, -EOPNOTSUPP, "the other side's regiond does not know that a source may move with a region, and would go on pushing to it: "
			     "it has to be a newer one");
		return;
	}
	leecher_send(leecher, WIRE_STATUS, 0, met);
}
