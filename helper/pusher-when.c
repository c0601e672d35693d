// SPDX-License-Identifier: GPL-2.0
/*
 * pusher-when: when to push, and how fast writers may go meanwhile.
 *
 * fsync waits for the source: soon, so that it finds little left. It doesn't: when the program pauses, or what there is is old or much;
 * what is written over and over again is not sent more often than once in push_interval, unless it alone is much.
 */
#include "pusher-private.h"

/* durability=remote */
#define SOON_BYTES	(1u << 20)
#define SOON_QUIET	(20 * MS)
/* durability=local: a part of max_unpushed, and of push_interval */
#define EARLY_PART	8
#define QUIET_PART	8
#define QUIET_LEAST	(50 * MS)
#define QUIET_MOST	SECOND
/* A generation of more ranges is not looked at for hot ones. */
#define HOT_RANGES	64u

#define RATE_EVERY	(500 * MS)
#define RATE_LEAST	(50 * MS)

#define LIMIT_EVERY	(100 * MS)
/* 0 would be no limit */
#define LIMIT_LEAST	4096u
/* What room there is lasts so many seconds, whatever the source does. */
#define LIMIT_SECONDS	10u

static uint64_t interval(const struct pusher *pusher)
{
	return pusher->options.policy->push_interval * MS;
}

static bool is_soon(const struct pusher *pusher)
{
	return pusher->options.policy->durability == DURABILITY_REMOTE;
}

/* ---- what is hot ---- */

static void turn_sent(struct pusher *pusher, uint64_t now)
{
	if (now - pusher->sent_turned < interval(pusher))
		return;
	extents_free(&pusher->sent[1]);
	pusher->sent[1] = pusher->sent[0];
	extents_init(&pusher->sent[0]);
	pusher->sent_turned = now;
}

void pusher_was_sent(struct pusher *pusher, uint64_t start, uint64_t end)
{
	/* The place makes neighbours one. Without memory for it, it is sent once more. */
	(void)extents_put(&pusher->sent[0], start, end, start);
}

static bool is_hot(struct pusher *pusher, const struct store_gen *gen)
{
	struct extent extent = { 0 };

	if (gen->changed.count > HOT_RANGES)
		return false;
	while (extents_next(&gen->changed, extent.end, &extent))
		if (extents_any(&pusher->sent[0], extent.start, extent.end) ||
		    extents_any(&pusher->sent[1], extent.start, extent.end))
			return true;
	return false;
}

/* ---- when ---- */

/* When the program is taken to pause. */
static uint64_t quiet_at(struct pusher *pusher, struct store_gen *gen)
{
	struct store *store = pusher->options.store;
	struct store_gen *newest = gen;
	uint64_t quiet = interval(pusher) / QUIET_PART;

	if (is_soon(pusher))
		quiet = SOON_QUIET;
	else if (quiet > QUIET_MOST)
		quiet = QUIET_MOST;
	else if (quiet < QUIET_LEAST)
		quiet = QUIET_LEAST;
	for (struct store_gen *pos = gen; pos; pos = store_gen_after(store, pos))
		newest = pos;
	return newest->last + quiet;
}

/* Found anew only when the last answer has passed: changes make it later, not earlier, and come by the thousand. */
static uint64_t due_at(struct pusher *pusher, struct store_gen *gen, uint64_t now)
{
	uint64_t age, quiet;

	if (pusher->due_gen == gen->oldest && now < pusher->due_at)
		return pusher->due_at;
	age = gen->since + interval(pusher);
	quiet = quiet_at(pusher, gen);
	pusher->due_gen = gen->oldest;
	pusher->due_at = age < quiet || (!is_soon(pusher) && is_hot(pusher, gen)) ? age : quiet;
	return pusher->due_at;
}

static bool is_much(struct pusher *pusher)
{
	uint64_t much = is_soon(pusher) ? SOON_BYTES : pusher->options.policy->max_unpushed / EARLY_PART;
	struct store_stats store;

	store_stats(pusher->options.store, &store);
	return store.unpushed >= much;
}

bool pusher_is_due(struct pusher *pusher, struct store_gen *gen, uint64_t now)
{
	uint64_t when;

	turn_sent(pusher, now);
	if (gen->oldest <= pusher->target || gen->oldest < pusher->member.barriers->wanted)
		return true;
	when = due_at(pusher, gen, now);
	if (!pusher->resting && when > now && !is_much(pusher)) {
		pusher_wake_at(pusher, when);
		return false;
	}
	pusher_aim(pusher);
	return true;
}

/* ---- how fast ---- */

void pusher_rate_begin(struct pusher *pusher, uint64_t now)
{
	pusher->rate_at = now;
	pusher->rate_bytes = pusher->arrived;
}

void pusher_rate_sample(struct pusher *pusher, uint64_t now, bool ended)
{
	uint64_t took = now - pusher->rate_at, bytes = pusher->arrived - pusher->rate_bytes;
	uint64_t rate;

	if (took < (ended ? RATE_LEAST : RATE_EVERY)) {
		if (!ended)
			pusher_wake_at(pusher, pusher->rate_at + RATE_EVERY);
		return;
	}
	rate = (uint64_t)((unsigned __int128)bytes * SECOND / took);
	pusher->stats.rate = pusher->stats.rate ? pusher->stats.rate / 4 * 3 + rate / 4 : rate;
	pusher_rate_begin(pusher, now);
}

/* Half-way between 3/4 and the bound they are as fast as the source; at the bound they all but stand still. */
static uint64_t limit_for(struct pusher *pusher, uint64_t unpushed)
{
	uint64_t most = pusher->options.policy->max_unpushed, room = unpushed < most ? most - unpushed : 0;
	uint64_t limit = room / LIMIT_SECONDS, fair;

	if (unpushed < (pusher->stats.limit ? most / 3 * 2 : most / 4 * 3))
		return 0;
	fair = (uint64_t)((unsigned __int128)pusher->stats.rate * room * 8 / (most ? most : 1));
	if (remote_state(pusher->options.remote) == REMOTE_UP && fair > limit)
		limit = fair;
	return limit > LIMIT_LEAST ? limit : LIMIT_LEAST;
}

/* An eighth is not worth a call. */
static bool is_news(uint64_t limit, uint64_t old)
{
	if (!limit || !old || limit == LIMIT_LEAST)
		return limit != old;
	return limit > old + old / 8 || limit < old - old / 8;
}

/* It goes first, so what is less than it was is that. What was sent counts until all of its generation was, in either. */
static uint64_t without_debt(struct pusher *pusher, uint64_t unpushed)
{
	uint64_t less = pusher->seen > unpushed ? pusher->seen - unpushed : 0;

	pusher->seen = unpushed;
	pusher->debt -= less < pusher->debt ? less : pusher->debt;
	return unpushed > pusher->debt ? unpushed - pusher->debt : 0;
}

void pusher_tell_limit(struct pusher *pusher, uint64_t unpushed, uint64_t now)
{
	uint64_t limit = limit_for(pusher, without_debt(pusher, unpushed));

	if (!is_news(limit, pusher->stats.limit))
		return;
	if (pusher->limit_at && now - pusher->limit_at < LIMIT_EVERY) {
		pusher_wake_at(pusher, pusher->limit_at + LIMIT_EVERY);
		return;
	}
	pusher->limit_at = now;
	pusher->stats.limit = limit;
	pusher->options.limit(pusher->options.arg, limit);
}
