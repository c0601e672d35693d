// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: giving up, before the decision. Where FINALIZE was never sent the other side is told, if it is there, and that is all. Where it
 * was, the other side may be waiting for our word, frozen: then notice.c sees to it that it gets it, as soon as the region here is gone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chunk-index.h"
#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

/* For the other side to hear of it. */
#define GIVE_UP_MS	3000u

static void told_abort(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);

	leecher->asking = false;
	leecher_ended(leecher, leecher->error);
}

static void give_up_late(struct loop_timer *timer)
{
	struct leecher *leecher = container_of(timer, struct leecher, limit);

	if (!leecher->leech || leecher_group_deciding(leecher) || leecher->state >= LEECHER_OWNED)
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
	if (leecher_group_forward(leecher)) {
		leecher_group_retry(leecher, why);
		return;
	}
	leecher->giving_up = true;
	leecher->error = error;
	snprintf(leecher->why, sizeof(leecher->why), "%s", why);
	log_warning("leeching %s: %s", leecher->path, why);
	limit_giving_up(leecher);
	if (leecher->index)
		chunk_index_stop(leecher->index);
	leecher_group_fail(leecher, error, why);
	if (leecher->asking || leecher->stepping)
		return;		/* leecher_fail_later() */
	if (!leecher->leech || leecher->parted || leecher->asked_ever || error == -ESTALE) {
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
