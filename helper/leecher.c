// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: the machine until the hand-over. Everything is pulled once; then, in rounds, what was changed meanwhile;
 * when a round is small, or the user says so, the other side is asked to finalize.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

/* A round of at most so many bytes is worth stopping the program for. */
#define SMALL_ROUND	(1u << 20)
/* Rounds that did not get smaller, until it is handed over nevertheless and the rest is fetched behind. */
#define STALLS_MOST	3u
#define ROUNDS_MOST	30u
/* For the other side to hear that we give up. */
#define GIVE_UP_MS	3000u

static const char *link_why(const struct link_req *req, int error)
{
	return *req->link->why ? req->link->why : strerror(-error);
}

/* ---- failing ---- */

static void told_abort(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);

	leecher->asking = false;
	leecher_ended(leecher, leecher->error);
}

static void give_up_late(struct loop_timer *timer)
{
	struct leecher *leecher = container_of(timer, struct leecher, limit);

	if (!leecher->leech)
		return;
	leecher->parted = true;
	leech_part(leecher->leech);
}

/* The other side may be away for good. */
static void limit_giving_up(struct leecher *leecher)
{
	if (leecher->limit.fire == give_up_late)
		return;
	leecher->limit.fire = give_up_late;
	loop_timer_set(leecher->regiond->loop, &leecher->limit, GIVE_UP_MS);
}

/* Before the decision only. The other side goes back to service, when it hears of it. */
void leecher_fail(struct leecher *leecher, int error, const char *why)
{
	struct wire_text text;
	int n;

	/* what is left behind by an orderly stop is the same as by any other */
	if (leecher->state >= LEECHER_OWNED || leecher->giving_up || leecher->regiond->stopping)
		return;
	leecher->giving_up = true;
	leecher->error = error;
	snprintf(leecher->why, sizeof(leecher->why), "%s", why);
	log_warning("leeching %s: %s", leecher->path, why);
	limit_giving_up(leecher);
	if (leecher->asking || leecher->stepping)
		return;		/* leecher_fail_later() */
	if (!leecher->leech || leecher->parted || error == -ESTALE) {
		leecher_ended(leecher, error);
		return;
	}
	memset(&text, 0, sizeof(text));
	snprintf(text.text, sizeof(text.text), "%s", why);
	n = wire_encode(WIRE_S_TEXT, &text, leecher->body, sizeof(leecher->body));
	leecher_send(leecher, WIRE_ABORT, n < 0 ? 0 : (uint32_t)n, told_abort);
}

/* A message or step has come back, after somebody gave up meanwhile, or with an error. */
void leecher_fail_later(struct leecher *leecher, int error, const char *why)
{
	char first[sizeof(leecher->why)];

	if (!leecher->giving_up) {
		leecher_fail(leecher, error, why);
		return;
	}
	memcpy(first, leecher->why, sizeof(first));
	leecher->giving_up = false;
	leecher_fail(leecher, leecher->error, first);
}

/* ---- FINALIZE ---- */

static void finalized(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);
	struct wire_finalize_reply *final = &leecher->final;
	int n;

	leecher->asking = false;
	leecher->handed = loop_now_ns();
	if (error == -ECANCELED && !leecher_leaves(leecher)) {
		/* The program could not be stopped, or the region not frozen: it goes on over there, and so do we. */
		snprintf(leecher->why, sizeof(leecher->why), "%s", link_why(req, error));
		leecher->state = LEECHER_PULLING;
		leecher->wanted = false;
		leecher->manual = true;
		leecher_answer_finalize(leecher, error);
		return;
	}
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, error ? link_why(req, error) : "");
		return;
	}
	n = wire_decode(WIRE_S_FINALIZE_REPLY, leecher->reply, req->got, final);
	if (n >= 0)
		n = leecher_take_list(leecher, &final->dirty, (size_t)n);
	if (n < 0)
		leecher_fail(leecher, n, "the seeder's answer to FINALIZE makes no sense");
	else if (req->reply_flags & WIRE_F_MORE)
		leecher_ask_dirty(leecher, final->dirty.round, final->dirty.next);
	else
		leecher_own(leecher);
}

static void finalize(struct leecher *leecher)
{
	leecher->state = LEECHER_FINALIZING;
	leecher->asked = loop_now_ns();
	leecher->pulled = leech_stats(leecher->leech)->fetched;
	leecher->nr_ranges = 0;
	leecher_send(leecher, WIRE_FINALIZE, 0, finalized);
}

/* ---- rounds ---- */

static bool is_time(const struct leecher *leecher)
{
	uint64_t small = SMALL_ROUND / chunkmap_chunk(leech_map(leecher->leech));

	if (leecher->wanted)
		return true;
	if (leecher->manual || !leecher->round)
		return false;
	return leecher->round_dirty <= small || leecher->stalls >= STALLS_MOST || leecher->round >= ROUNDS_MOST;
}

/*
 * When the user asks for the hand-over, it is not waited until all is here: what is missing is fetched behind. Else
 * the next round is asked for as soon as the last one is here; the timer does so when that was small.
 */
void leecher_next(struct leecher *leecher)
{
	if (leecher->state != LEECHER_PULLING || leecher->asking || leecher->giving_up)
		return;
	if (leecher->wanted || (leecher->settled && is_time(leecher)))
		finalize(leecher);
	else if (leecher->settled && leecher->round_dirty * chunkmap_chunk(leech_map(leecher->leech)) > SMALL_ROUND)
		leecher_ask_dirty(leecher, leecher->round + 1, 0);
}

static void settled(struct leech_watch *watch)
{
	struct leecher *leecher = container_of(watch, struct leecher, watch);

	if (leecher->state != LEECHER_PULLING || leecher->asking)
		return;
	leecher->settled = true;
	if (!leecher->round)
		leecher_ask_dirty(leecher, 1, 0);
	else
		leecher_next(leecher);
}

/* ---- TRACK ---- */

static void sized(void *arg, int error)
{
	struct leecher *leecher = arg;

	leecher->stepping = false;
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, "there is no room for it in the local store");
		return;
	}
	leecher->state = LEECHER_PULLING;
	leecher->watch.settled = settled;
	leecher_begun(leecher);
	leech_pull(leecher->leech, true);
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

	leecher->asking = false;
	if (!error && wire_decode(WIRE_S_INFO, leecher->reply, req->got, &info) < 0)
		error = -EPROTO;
	if (!error && !leecher_leaves(leecher) && info.chunk != chunkmap_chunk(leech_map(leecher->leech)))
		error = -EPROTO;
	ask = error || leecher_leaves(leecher) ? NULL :
	      handover_ask_new(leecher->handover.region, REGIONFS_CMD_REGION_SET, told_kernel, leecher);
	if (!ask) {
		leecher_fail_later(leecher, error ? error : -ENOMEM, error ? link_why(req, error) : "out of memory");
		return;
	}
	leecher->final.dirty.size = info.size;
	netlink_set(&ask->call.attrs, SIZE, size, info.size);
	netlink_set(&ask->call.attrs, MODE, mode, info.mode);
	leecher->stepping = true;
	handover_ask(ask, leecher->handover.region);
}

void leecher_track(struct leecher *leecher)
{
	struct wire_track track = { .chunk = chunkmap_chunk(leech_map(leecher->leech)) };
	int n = wire_encode(WIRE_S_TRACK, &track, leecher->body, sizeof(leecher->body));

	leech_set_watch(leecher->leech, &leecher->watch);
	leecher_send(leecher, WIRE_TRACK, (uint32_t)n, tracked);
}
