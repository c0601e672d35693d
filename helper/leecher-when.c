// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: when to hand over. Between rounds the other side is asked how much is dirty there, and how fast that grows; with what is
 * measured here it makes an estimate. A program that is faster than the link is not caught up with by rounds: that is noticed, said, and
 * then goes as the user has chosen. The arithmetic is leecher-estimate.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "leecher-private.h"
#include "log.h"
#include "managed-event.h"
#include "regiond.h"
#include "units.h"

#define MS		1000000ULL
/* A round of more than so many bytes is followed by the next one at once. */
#define SMALL_ROUND	(1u << 20)
/* So many bytes, at least, tell how fast they come. */
#define FETCH_TELLS	(256u << 10)
/* What is measured of a pull that takes long. */
#define MEASURE_NS	(1000 * MS)
/* Of nothing but small rounds, and of those that get nowhere. */
#define PAUSE_NS	(200 * MS)
#define STALLED_PAUSE	(1000 * MS)
#define STALLED_PAUSE_MOST (30000 * MS)
/* What has not ended then never will. */
#define ROUNDS_MOST	30u
/* The other side lets the writers go when it has not heard for ten seconds that they are to be slowed. */
#define THROTTLE_AGAIN	(3000 * MS)

static uint64_t chunk_of(const struct leecher *leecher)
{
	return chunkmap_chunk(leech_map(leecher->leech));
}

/* ---- what is measured here ---- */

void leecher_pull(struct leecher *leecher)
{
	leecher->when.pull_at = loop_now_ns();
	leecher->when.pull_from = leech_stats(leecher->leech)->fetched;
	leech_pull(leecher->leech, true);
}

static void measure(struct leecher *leecher, uint64_t least_ns)
{
	struct leecher_when *when = &leecher->when;
	uint64_t fetched = leech_stats(leecher->leech)->fetched, now = loop_now_ns();

	if (!when->pull_at || fetched - when->pull_from < FETCH_TELLS || now - when->pull_at < least_ns)
		return;
	estimate_rate_note(&when->fetch_rate, fetched - when->pull_from, now - when->pull_at);
	when->pull_from = fetched;
	when->pull_at = now;
}

/* Where rounds get nowhere and nothing is done about that, half of the time the link is the user's. */
static uint64_t pause_after(const struct leecher *leecher)
{
	const struct leecher_when *when = &leecher->when;
	uint64_t took = loop_now_ns() - when->round_at;

	if (when->stalled && when->on_stall == LEECHER_WAIT) {
		took = took < STALLED_PAUSE ? STALLED_PAUSE : took;
		return took < STALLED_PAUSE_MOST ? took : STALLED_PAUSE_MOST;
	}
	if (!leecher->manual || !leecher->round || leecher->round_dirty * chunk_of(leecher) > SMALL_ROUND)
		return 0;
	return PAUSE_NS;
}

void leecher_pulled(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;

	measure(leecher, MS);
	if (!when->pulled_once)
		when->first = leech_stats(leecher->leech)->fetched;
	when->pulled_once = true;
	when->rest_until = loop_now_ns() + pause_after(leecher);
}

/* ---- the estimate ---- */

static uint64_t rtt(const struct leecher *leecher)
{
	const struct session *session = leech_session(leecher->leech);

	if (!session)
		return 0;
	return session->rtt ? session->rtt : session->rtt_min;
}

static void estimate(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;
	const struct estimate_figures figures = {
		.rtt = rtt(leecher), .hook = when->hook, .unflushed = when->status.unflushed,
		.dirty = when->status.dirty * chunk_of(leecher),
		.missing = chunkmap_missing(leech_map(leecher->leech)) * chunk_of(leecher),
		.fetch_rate = when->fetch_rate, .flush_rate = when->status.flush_rate,
		.chunk = (uint32_t)chunk_of(leecher),
	};

	estimate_make(&figures, &when->estimate);
	when->estimated = true;
}

/* What is dirty over there is written first, where that, or fetching it, takes a part of what the user allows. */
static bool wants_flush(const struct leecher *leecher)
{
	const struct leecher_when *when = &leecher->when;
	uint64_t some = when->max_downtime * MS / 4, rate = when->status.flush_rate;

	if (leecher->wanted || !leecher->manual || !when->estimated)
		return true;
	if (!rate || (when->fetch_rate && when->fetch_rate < rate))
		rate = when->fetch_rate;
	return when->status.unflushed > estimate_bytes(rate, some);
}

/* All that is known to have changed is here: it is worth it now, or the next round comes. */
static void decide(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;

	if (leecher->manual || !leecher_group_worth(leecher)) {
		when->round_at = loop_now_ns();
		leecher_ask_dirty(leecher, leecher->round + 1, 0);
		return;
	}
	log_info("leeching %s: it is worth it: programs stand still for about %llu ms, and wait for at most %llu", leecher->path,
		 (unsigned long long)(when->estimate.downtime / MS), (unsigned long long)(when->estimate.behind / MS));
	leecher->wanted = when->prepared = true;
}

/* With what is in the page cache there, of which the rounds know later. */
static uint64_t changed(const struct leecher *leecher)
{
	return leecher->when.status.dirty * chunk_of(leecher) + leecher->when.status.unflushed;
}

static void begin_round(struct leecher *leecher)
{
	leecher->when.curve_at = loop_now_ns();
	leecher->when.curve_from = changed(leecher);
}

static void begin_curve(struct leecher *leecher)
{
	memset(&leecher->when.curve, 0, sizeof(leecher->when.curve));
	begin_round(leecher);
}

/* Since then. */
static uint64_t changed_anew(const struct leecher *leecher)
{
	uint64_t bytes = changed(leecher), from = leecher->when.curve_from;

	return bytes > from ? bytes - from : 0;
}

static void note_curve(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;

	if (!when->trend.rounds && when->pull_at && when->curve_at)
		estimate_curve_note(&when->curve, loop_now_ns() - when->curve_at, changed_anew(leecher));
}

static void stalled(struct leecher *leecher, uint64_t bytes);

/* The first round is under way, and will be followed by one that is no smaller: that shows before it is over. */
static void note_round(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;

	if (when->trend.rounds != 1 || when->stalled || leecher->settled || leecher->wanted || leecher->state != LEECHER_PULLING)
		return;
	if (!when->curve_at)
		begin_round(leecher);
	else if (estimate_confirms(&when->trend, &when->curve, when->fetch_rate, loop_now_ns() - when->curve_at, changed_anew(leecher)))
		stalled(leecher, changed(leecher));
}

/* One that was asked for its figures alone does not do for a round: what is in the page cache belongs to that, and it may be too early. */
static void go_on(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;
	bool for_round = leecher->settled && !leecher->wanted && leecher->state == LEECHER_PULLING &&
			 (when->flushing || (!wants_flush(leecher) && leecher_is_time(leecher)));

	when->prepared = leecher->wanted && when->flushing;
	note_curve(leecher);
	note_round(leecher);
	if (!when->pull_at) {
		begin_curve(leecher);
		leecher_pull(leecher);
	} else if (for_round) {
		decide(leecher);
	}
	leecher_next(leecher);
}

static void tell_throttle(struct leecher *leecher);

/* What the rounds told so far says nothing about the next ones. */
static void forget_trend(struct leecher_when *when)
{
	when->stalled = when->halfway = false;
	when->curve_at = 0;
	memset(&when->trend, 0, sizeof(when->trend));
}

void leecher_unthrottled(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;

	when->throttle = 0;
	forget_trend(when);
}

/*
 * Writers over there stay slowed only as long as that is said again. Where they are not any more, its helper being another one, say, they have run free: what
 * the rounds told counts no more. true: it is being said.
 */
static bool throttle_again(struct leecher *leecher)
{
	const struct leecher_when *when = &leecher->when;

	if (when->throttle && !when->status.throttle)
		leecher_unthrottled(leecher);
	if (!when->throttle || loop_now_ns() - when->throttle_at <= THROTTLE_AGAIN)
		return false;
	tell_throttle(leecher);
	return true;
}

static void status_came(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);
	struct leecher_when *when = &leecher->when;

	leecher->asking = false;
	if (!error && wire_decode(WIRE_S_STATUS, leecher->reply, req->got, &when->status) < 0)
		error = -EPROTO;
	if (error || leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, link_why(req, error));
		return;
	}
	estimate(leecher);
	if (!throttle_again(leecher))
		go_on(leecher);
}

void leecher_ask_status(struct leecher *leecher)
{
	struct wire_status_ask ask = { .flags = 0 };
	bool begins = !leecher->when.pull_at;
	int n;

	leecher->when.flushing = (begins || leecher->wanted || leecher->settled) && wants_flush(leecher);
	if (leecher->when.flushing)
		ask.flags |= WIRE_STATUS_FLUSH;
	n = wire_encode(WIRE_S_STATUS_ASK, &ask, leecher->body, sizeof(leecher->body));
	leecher_send(leecher, WIRE_STATUS, (uint32_t)n, status_came);
}

void leecher_begin_finalize(struct leecher *leecher)
{
	const struct session *session = leech_session(leecher->leech);

	leecher->asked = loop_now_ns();
	leecher->when.rtt = session ? session->rtt_min : 0;
	leecher->pulled = leech_stats(leecher->leech)->fetched;
}

bool leecher_is_time(const struct leecher *leecher)
{
	return loop_now_ns() >= leecher->when.rest_until;
}

/* ---- rounds that get nowhere ---- */

static const char *remedy(const struct leecher *leecher)
{
	static const char *const does[] = {
		[LEECHER_POSTCOPY] = "it is handed over now, and the rest is fetched behind",
		[LEECHER_THROTTLE] = "its writers are slowed there",
		[LEECHER_WAIT] = "it goes on until they write less, or it is finalized",
	};

	if (leecher->when.on_stall == LEECHER_WAIT && leecher->when.handover == LEECHER_WHEN_COMPLETE)
		return "it goes on until they write less, or it is finalized with --handover early";
	return does[leecher->when.on_stall];
}

/* To who watches, and into the log: without it nobody knows why it does not end. */
static void say_stalled(struct leecher *leecher, uint64_t bytes)
{
	const struct leecher_when *when = &leecher->when;
	bool risks = when->on_stall == LEECHER_POSTCOPY;
	char detail[512], text[4][REGIONFS_UNITS_TEXT];

	snprintf(detail, sizeof(detail), "programs there change %s/s, %s/s come here, and %s were changed while the last round came: %s%s%s",
		 regionfs_size_format(when->status.dirty_rate, text[0]), regionfs_size_format(when->fetch_rate, text[1]),
		 regionfs_size_format(bytes, text[2]), remedy(leecher), risks ? "; until it has come, that host alone has it: at least " : "",
		 risks ? regionfs_size_format(leecher_at_risk(leecher), text[3]) : "");
	managed_event(leecher->handover.region, "migration-stalled", detail);
}

static void throttle_told(struct link_req *req, int error)
{
	struct leecher *leecher = container_of(req, struct leecher, message);

	leecher->asking = false;
	if (leecher_leaves(leecher)) {
		leecher_fail_later(leecher, error, "");
		return;
	}
	/* what is wrong with the other side shows with the next round */
	if (error) {
		log_warning("leeching %s: writers there could not be slowed: %s", leecher->path,
			    link_why(req, error));
		leecher->when.throttle = 0;
	}
	leecher_next(leecher);
}

static void tell_throttle(struct leecher *leecher)
{
	struct wire_throttle throttle = { .rate = leecher->when.throttle };
	int n = wire_encode(WIRE_S_THROTTLE, &throttle, leecher->body, sizeof(leecher->body));

	leecher->when.throttle_at = loop_now_ns();
	leecher_send(leecher, WIRE_THROTTLE, (uint32_t)n, throttle_told);
}

/* Its user has said what is to be done then. */
static void remedied(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;

	if (when->stalled && when->on_stall == LEECHER_POSTCOPY && leecher_group_pulled(leecher))
		leecher->wanted = true;
	if (when->on_stall == LEECHER_THROTTLE && (when->stalled || when->throttle)) {
		when->throttle = estimate_throttle(when->throttle, when->fetch_rate, when->status.dirty_rate, when->stalled);
		tell_throttle(leecher);
	}
}

static void stalled(struct leecher *leecher, uint64_t bytes)
{
	leecher->when.stalled = true;
	leecher->when.halfway = true;
	say_stalled(leecher, bytes);
	remedied(leecher);
}

/* A program that changes as much as the link carries is not caught up with by more rounds. */
void leecher_judge(struct leecher *leecher, uint64_t total)
{
	struct leecher_when *when = &leecher->when;
	uint64_t bytes = total * chunk_of(leecher), enough = estimate_bytes(when->fetch_rate, when->max_downtime * MS);
	bool was = when->stalled, first = !when->trend.rounds, halfway = when->halfway && when->throttle;

	leecher->round_dirty = total;
	when->halfway = false;
	/* of a round in which they were slowed halfway nothing can be told: the next one is compared with it */
	if (halfway)
		when->trend.last = UINT64_MAX;
	when->stalled = estimate_stalls(&when->trend, bytes, enough) || (!leecher->manual && when->trend.rounds >= ROUNDS_MOST &&
									 bytes > enough);
	if (first)
		when->curve_at = 0;	/* the round's own time begins with the next figures */
	if (first && when->fetch_rate)
		estimate_foresee(&when->trend, bytes, enough, estimate_curve_at(&when->curve, (uint64_t)((double)bytes * 1000 * MS / (double)when->fetch_rate)));
	if (when->stalled && !was)
		say_stalled(leecher, bytes);
	else if (was && !when->stalled && !halfway)
		log_info("leeching %s: its rounds get smaller again", leecher->path);
	if (halfway)
		tell_throttle(leecher);
	else
		remedied(leecher);
}

void leecher_not_now(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;

	leecher->wanted = when->prepared = false;
	leecher->manual = true;
	when->on_stall = when->on_stall == LEECHER_POSTCOPY ? LEECHER_WAIT : when->on_stall;
	when->hook = leecher->handed - leecher->asked;
	/* the other side has let its writers go */
	when->throttle = 0;
	forget_trend(when);
}

void leecher_unlocked(struct leecher *leecher)
{
	leecher->owned = loop_now_ns();
	leecher->when.unlocked = leecher->leech ? leech_stats(leecher->leech)->fetched : 0;
}

void leecher_look(struct leecher *leecher)
{
	struct leecher_when *when = &leecher->when;

	if (leecher->state != LEECHER_PULLING || leecher->asking || leecher->stepping || leecher->giving_up)
		return;
	if (!leecher->settled)
		measure(leecher, MEASURE_NS);
	if (when->throttle && loop_now_ns() - when->throttle_at > THROTTLE_AGAIN)
		leecher_ask_status(leecher);
	else if (leecher->settled)
		leecher_next(leecher);
	else if (when->pull_at != when->looked_at) {
		/* each time that something was measured, so that the figures of both sides are of one time */
		when->looked_at = when->pull_at;
		leecher_ask_status(leecher);
	}
}
