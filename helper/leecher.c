// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: the machine until the hand-over. Everything is pulled once; then, in rounds, what was changed meanwhile;
 * when a hand-over costs little (leecher-when.c), or the user says so, the other side is asked to finalize.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key16.h"
#include "leecher-private.h"
#include "log.h"
#include "regiond.h"


/* ---- FINALIZE ---- */

static void finalized(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);
	struct wire_finalize_reply *final = &leecher->final;
	int n;

	leecher->asking = false;
	if (leecher->state != LEECHER_FINALIZING && !leecher->dropped)
		return;		/* it was asked before a meeting, which has seen to it */
	leecher->handed = loop_now_ns();
	if (error == -ECANCELED && !leecher_leaves(leecher) && leecher_may_follow(leecher)) {
		leecher_fail(leecher, error, link_why(req, error));
		return;
	}
	if (error == -ECANCELED && !leecher_leaves(leecher)) {
		/* The program could not be stopped, or the region not frozen: it goes on over there, and so do we. */
		snprintf(leecher->why, sizeof(leecher->why), "%s", link_why(req, error));
		leecher->state = LEECHER_PULLING;
		leecher_not_now(leecher);
		leecher_answer_finalize(leecher, error);
		leecher_group_unasked(leecher);
		/* it may have closed a round by then, whose list we have not got */
		leecher_meet(leecher);
		return;
	}
	if (error == -EINVAL && !leecher_leaves(leecher)) {
		/* its helper is another one, or was told otherwise: it is not where we think it is */
		leecher->state = LEECHER_PULLING;
		leecher_meet(leecher);
		return;
	}
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, error ? link_why(req, error) : "");
		return;
	}
	n = wire_decode(WIRE_S_FINALIZE_REPLY, leecher->reply, req->got, final);
	/* a round was closed that we have not heard of: what is here may be older than any list says */
	if (n >= 0 && final->dirty.round != leecher->round && final->dirty.round != leecher->round + 1) {
		leecher->forgot = true;
		leech_forget_all(leecher->leech);
		if (leecher_add_range(leecher, 0, INT64_MAX))
			n = -ENOMEM;
	}
	if (n >= 0)
		n = leecher_take_list(leecher, &final->dirty, (size_t)n);
	if (n < 0)
		leecher_fail(leecher, n, "the seeder's answer to FINALIZE makes no sense");
	else if (req->reply_flags & WIRE_F_MORE)
		leecher_ask_dirty(leecher, final->dirty.round, final->dirty.next);
	else
		leecher_own(leecher);
}

static uint32_t finalize_body(struct leecher *leecher)
{
	struct wire_finalize_flags more = { .flags = WIRE_FINALIZE_ADOPT };
	struct wire_finalize ask = { .group = { 0 } };
	bool grouped = leecher->handover.group && key16_take(leecher->handover.group->id, ask.group);
	int n;

	if (!grouped && !leecher_adopts(leecher))
		return 0;
	n = wire_encode(WIRE_S_FINALIZE, &ask, leecher->body, sizeof(leecher->body));
	if (leecher_adopts(leecher))
		n += wire_encode(WIRE_S_FINALIZE_FLAGS, &more, leecher->body + n, sizeof(leecher->body) - (size_t)n);
	return (uint32_t)n;
}

void leecher_finalize_now(struct leecher *leecher)
{
	leecher->state = LEECHER_FINALIZING;
	leecher->asked_ever = true;
	leecher_group_asks(leecher);
	leecher_begin_finalize(leecher);
	leecher->nr_ranges = 0;
	leecher->forgot = false;
	leech_ask_lasts(leecher->leech);
	leecher_send(leecher, WIRE_FINALIZE, finalize_body(leecher), finalized);
}

/* ---- rounds ---- */

/*
 * When the user asks for the hand-over, it is not waited until all is here: what is missing is fetched behind. But what is dirty in
 * the other side's page cache is written first, as long as the program runs. Else the next round comes when the last one is here.
 */
void leecher_next(struct leecher *leecher)
{
	if (leecher->state != LEECHER_PULLING || leecher->asking || leecher->stepping || leecher->giving_up)
		return;
	if (leecher->wanted)
		leecher_group_want(leecher);
	if (leecher->told_round > leecher->round)
		leecher_ask_dirty(leecher, leecher->round + 1, 0);
	else if (leecher->wanted && leecher->when.prepared)
		leecher_group_finalize(leecher);
	else if (leecher->wanted || (leecher->settled && leecher_is_time(leecher)))
		leecher_ask_status(leecher);
}

void leecher_settled(struct leech_watch *watch)
{
	struct leecher *leecher = container_of(watch, struct leecher, watch);

	if (leecher->state != LEECHER_PULLING || leecher->stepping)
		return;
	leecher->settled = true;
	leecher_pulled(leecher);
	leecher_next(leecher);
}
