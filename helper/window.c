// SPDX-License-Identifier: GPL-2.0
/* window: see window.h. */
#include <string.h>

#include "window.h"

#define SECOND		1000000000ULL
#define UNIT_START	(64u << 10)
#define WINDOW_START	(256u << 10)
/* A request's bytes take about so long: long enough that requests are few, short enough that a miss may pass between two. */
#define UNIT_NS		4000000u
/* Round trips of start-up that misses have to bear */
#define START_ROUNDS	12u
#define TRIP_MEMORY	(10 * SECOND)
/* rate x trip, and a quarter */
#define GAIN_MIN	20u
#define GAIN_MAX	256u
/* windows' worth of bytes between two trials, and for a trial to last; requests that it has at least */
#define PATIENCE_MIN	4u
#define PATIENCE_MAX	128u
#define TRIAL_WINDOWS	3u
#define TRIAL_UNITS	64u
/* Who had a miss will have another one, within so many times what one takes, and these bounds. */
#define DEMAND_LATENCIES 10u
#define DEMAND_NS_MIN	5000000u
#define DEMAND_NS_MAX	(2 * SECOND)

static uint64_t scale(uint64_t value, uint64_t by, uint64_t of)
{
	unsigned __int128 scaled = (unsigned __int128)value * by / (of ? of : 1);

	return scaled > UINT64_MAX ? UINT64_MAX : (uint64_t)scaled;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How long the path takes for the bytes alone. */
static uint64_t own_time(const struct window *window, uint64_t bytes)
{
	return window->rate ? scale(bytes, SECOND, window->rate) : 0;
}

static uint64_t without_own(const struct window *window, uint64_t took, uint32_t bytes)
{
	uint64_t own = own_time(window, bytes);

	return took > own ? took - own : 0;
}

/* What the path holds without a queue. */
static uint64_t path(const struct window *window)
{
	return scale(window->rate, window->trip, SECOND);
}

/* ---- the length of a request ---- */

/* The largest power of two up to bytes that a request may have. */
static uint32_t unit_below(const struct window *window, uint64_t bytes)
{
	uint32_t unit = WINDOW_UNIT_MIN;

	while (unit * 2 <= window->unit_max && unit * 2 <= bytes)
		unit *= 2;
	return unit < window->unit_max ? unit : window->unit_max;
}

static uint32_t usual_unit(const struct window *window)
{
	return unit_below(window, window->rate ? scale(window->rate, UNIT_NS, SECOND) : UNIT_START);
}

/* ---- misses ---- */

/* What a miss takes when nothing is in its way. Its own times may have us in them, and ours don't know its length: the lesser one. */
static uint64_t lone_demand(const struct window *window)
{
	uint64_t here = window->trip + own_time(window, larger(window->demand_bytes, 4096));
	uint64_t seen = window->demand_min[0];

	if (window->demand_min[1] && (!seen || window->demand_min[1] < seen))
		seen = window->demand_min[1];
	return seen ? smaller(seen, here) : here;
}

static uint64_t demand_until(const struct window *window)
{
	uint64_t linger = DEMAND_LATENCIES * lone_demand(window);

	return window->demand_ended + smaller(larger(linger, DEMAND_NS_MIN), DEMAND_NS_MAX);
}

/* The rate must be known first: start-up takes some round trips, and what it finds out serves misses, too. Who sends little never ends it. */
static bool gives_way(const struct window *window, uint64_t now)
{
	if (window->starting && window->rounds < START_ROUNDS)
		return false;
	return window->waiting || (window->demand_ended && now < demand_until(window));
}

/* Bytes that a miss may find before it. */
static uint64_t tolerated(const struct window *window)
{
	return scale(window->rate, lone_demand(window) / 4, SECOND);
}

/* Even one short request would be too much of a delay: then there is one now and then, so that misses are that much slower on average. */
static bool is_paced(const struct window *window, uint64_t now)
{
	return gives_way(window, now) && tolerated(window) < WINDOW_UNIT_MIN;
}

static uint64_t paced_until(const struct window *window)
{
	return window->last_sent + 4 * own_time(window, WINDOW_UNIT_MIN);
}

/* What fills the path without a queue delays nobody; on top of it comes what may. */
static uint64_t polite_limit(const struct window *window)
{
	uint64_t queue = tolerated(window);

	return queue < WINDOW_UNIT_MIN ? WINDOW_UNIT_MIN : path(window) + queue;
}

/* Bytes that came, for which nothing was sent from here: alone, they make no sample of what comes next. */
static void came_besides(struct window *window, uint32_t bytes)
{
	if (!window->in_flight && window->limited_until == window->total)
		window->limited_until += bytes;
	window->total += bytes;
}

void window_demand_begin(struct window *window, uint64_t now)
{
	window->waiting++;
}

void window_demand_end(struct window *window, uint64_t now, uint32_t bytes, uint64_t took)
{
	if (window->waiting)
		window->waiting--;
	if (now - window->demand_turned > TRIP_MEMORY / 2) {
		window->demand_min[1] = window->demand_min[0];
		window->demand_min[0] = 0;
		window->demand_turned = now;
	}
	if (took && (!window->demand_min[0] || took < window->demand_min[0]))
		window->demand_min[0] = took;
	window->demand_ended = now;
	window->demand_bytes = bytes;
	came_besides(window, bytes);
}

void window_others(struct window *window, uint32_t bytes)
{
	came_besides(window, bytes);
}

/* ---- how much ---- */

/* It doubles with each round trip, also where TCP needs longer at first since it is still gaining speed itself. */
static uint64_t start_limit(const struct window *window, uint32_t unit)
{
	uint64_t most = scale(window->rate, window->min_took, SECOND) * 3 + 2 * (uint64_t)unit;

	return smaller(WINDOW_START + window->delivered, larger(most, WINDOW_START));
}

static uint64_t usual_limit(const struct window *window)
{
	unsigned int gain = window->trial ? window->trial : window->gain;
	uint32_t unit = usual_unit(window);
	uint64_t limit;

	if (window->starting)
		limit = start_limit(window, unit);
	else
		limit = scale(path(window) + unit, gain, 16) + unit;
	return smaller(larger(limit, 2 * (uint64_t)unit), WINDOW_MAX);
}

uint64_t window_limit(const struct window *window, uint64_t now)
{
	uint64_t limit = usual_limit(window);

	if (window->probing)
		limit = larger(path(window) / 2, WINDOW_UNIT_MIN);
	return gives_way(window, now) ? smaller(limit, polite_limit(window)) : limit;
}

static uint32_t unit_now(const struct window *window, uint64_t now)
{
	uint32_t unit = usual_unit(window);

	/* Half of it: the next one begins to come while this one is still waited for. */
	return gives_way(window, now) ? (uint32_t)smaller(unit, unit_below(window, tolerated(window) / 2)) : unit;
}

uint32_t window_room(const struct window *window, uint64_t now)
{
	uint64_t limit = window_limit(window, now);
	uint32_t unit = unit_now(window, now);

	if (is_paced(window, now) && (window->in_flight || now < paced_until(window)))
		return 0;
	if (!window->in_flight || window->in_flight + unit <= limit)
		return window->in_flight + unit <= WINDOW_MAX ? unit : 0;
	return 0;
}

uint64_t window_wake(const struct window *window, uint64_t now)
{
	uint64_t until = 0;

	if (!gives_way(window, now))
		return 0;
	if (!window->waiting)
		until = demand_until(window);
	if (is_paced(window, now) && !window->in_flight && (!until || paced_until(window) < until))
		until = paced_until(window);
	return until > now ? until : 0;
}

/* ---- what the path rewards: now and then more, or less, in flight is tried, and the rate compared ---- */

static void trial_enter(struct window *window, uint64_t now, enum window_phase phase, unsigned int windows)
{
	uint64_t unit = usual_unit(window), bytes = windows * window_limit(window, now);

	/* Of few answers the rate would be chance. */
	if (phase == WINDOW_BASE || phase == WINDOW_TRIAL || phase == WINDOW_CHECK)
		bytes = larger(bytes, TRIAL_UNITS * unit);
	window->phase = phase;
	window->phase_at = now;
	window->phase_total = window->total;
	window->phase_end = window->total + bytes;
}

static void trial_rest(struct window *window, uint64_t now)
{
	window->trial = 0;
	trial_enter(window, now, WINDOW_REST, window->patience);
}

/* A quarter more; twice as much where a quarter would be nothing, and half where more has proved good before. */
static unsigned int trial_gain(const struct window *window, uint64_t limit)
{
	bool few = limit < 4 * (uint64_t)usual_unit(window);
	uint64_t gain = window->gain;

	if (window->down)
		gain = few ? gain / 2 : gain * 4 / 5;
	else
		gain = few ? gain * 2 : gain > GAIN_MIN ? gain * 3 / 2 : gain * 5 / 4;
	return (unsigned int)smaller(larger(gain, GAIN_MIN), GAIN_MAX);
}

static void trial_begin(struct window *window, uint64_t now)
{
	window->base_limit = window_limit(window, now);
	window->down = !window->down && window->gain > GAIN_MIN;
	window->trial = trial_gain(window, window->base_limit);
	trial_enter(window, now, WINDOW_SETTLE, 1);
	window->trial_limit = window_limit(window, now);
}

/* More in flight must bring half as much more; less may cost a twentieth. */
static void trial_end(struct window *window, uint64_t now)
{
	uint64_t more = scale(window->base, window->base_limit + window->trial_limit, 2 * window->base_limit);
	bool won = window->result >= (window->down ? window->base - window->base / 20 : more);

	if (won)
		window->gain = window->tried;
	window->patience = won ? PATIENCE_MIN : (unsigned int)smaller(window->patience * 2, PATIENCE_MAX);
	trial_rest(window, now);
}

static void trial_step(struct window *window, uint64_t now)
{
	uint64_t rate = scale(window->total - window->phase_total, SECOND, now - window->phase_at);

	if (window->total < window->phase_end)
		return;
	switch (window->phase) {
	case WINDOW_REST:
		trial_enter(window, now, WINDOW_BASE, TRIAL_WINDOWS);
		break;
	case WINDOW_BASE:
		window->base = rate;
		trial_begin(window, now);
		break;
	case WINDOW_SETTLE:
		trial_enter(window, now, WINDOW_TRIAL, TRIAL_WINDOWS);
		break;
	case WINDOW_TRIAL:
		window->result = rate;
		window->tried = window->trial;
		window->trial = 0;
		trial_enter(window, now, WINDOW_RETURN, 1);
		break;
	case WINDOW_RETURN:
		trial_enter(window, now, WINDOW_CHECK, TRIAL_WINDOWS);
		break;
	case WINDOW_CHECK:
		/* It may have become more without us, as it does while TCP still gains speed. */
		window->base = larger(window->base, rate);
		trial_end(window, now);
	}
}

/* ---- rounds ---- */

static void update_rate(struct window *window)
{
	/* Where a queue has built up the path has become slower, and what it could do ten rounds ago counts no more. */
	unsigned int memory = window->congested ? 3 : WINDOW_ROUNDS;

	window->rate = 0;
	for (unsigned int i = 0; i < memory; i++)
		window->rate = larger(window->rate, window->rates[i]);
	window->trip = without_own(window, window->min_took, window->min_bytes);
}

static void start_round(struct window *window)
{
	if (window->rate >= window->full + window->full / 4) {
		window->full = window->rate;
		window->still = 0;
	} else if (++window->still >= 3) {
		window->starting = false;
	}
}

/* The path's own time has not been seen for long: it is looked for with half of what fills the path in flight. */
static void probe_round(struct window *window, uint64_t now)
{
	if (window->probing == 2)
		window->min_took = 0;	/* what was sent before is gone */
	if (window->probing)
		window->probing--;
	else if (!window->starting && now - window->min_at > TRIP_MEMORY)
		window->probing = 3;
}

/* Over some rounds: the best of single ones is chance where answers come in bursts, and a queue that overflows makes bursts. */
static uint64_t mean_rate(struct window *window, uint64_t now)
{
	unsigned int last = WINDOW_MEAN - 1;
	uint64_t rate = scale(window->total - window->ends[last].total, SECOND, now - window->ends[last].at);

	memmove(window->ends + 1, window->ends, last * sizeof(*window->ends));
	window->ends[0].at = now;
	window->ends[0].total = window->total;
	return rate;
}

static void round_end(struct window *window, uint64_t now)
{
	uint64_t rate = mean_rate(window, now);

	if (!window->starting && (window->round_counts || rate > window->rate))
		window->rates[0] = rate;
	window->round_start = window->total;
	window->rounds += window->starting && window->rounds < START_ROUNDS;
	probe_round(window, now);
	if (!window->round_counts)
		return;
	window->congested = !window->starting && window->gain == GAIN_MIN &&
			    window->shortest > 2 * (window->min_took + own_time(window, 2 * (uint64_t)usual_unit(window)));
	if (window->starting)
		start_round(window);
	memmove(window->rates + 1, window->rates, sizeof(window->rates) - sizeof(*window->rates));
	window->rates[0] = 0;
	window->shortest = 0;
	window->round_counts = false;
}

/* ---- requests ---- */

/* What is sent from now on is under way beside less than the path can hold; also what is sent alone, after all had come. */
static void mark_limited(struct window *window)
{
	window->limited_until = window->total + window->in_flight;
}

static bool is_limited(const struct window *window)
{
	return window->limited_until >= window->total;
}

static void sample_trip(struct window *window, uint64_t now, uint64_t took, uint32_t bytes)
{
	if (!window->shortest || took < window->shortest)
		window->shortest = took;
	if (window->min_took &&
	    without_own(window, took, bytes) > without_own(window, window->min_took, window->min_bytes))
		return;
	window->min_took = took;
	window->min_bytes = bytes;
	window->min_at = now;
}

static void sample(struct window *window, uint64_t now, const struct window_mark *mark)
{
	uint64_t took = now > mark->at ? now - mark->at : 1;
	/* What came at once, after it had been held up, tells nothing; it was not sent at once. */
	uint64_t rate = scale(window->total - mark->total, SECOND, larger(took, mark->at - mark->first));

	if (window->starting && (!mark->limited || rate > window->rate))
		window->rates[0] = larger(window->rates[0], rate);
	window->round_counts |= !mark->limited;
	sample_trip(window, now, took, mark->bytes);
	update_rate(window);
	if (mark->total >= window->round_start)
		round_end(window, now);
}

void window_sent(struct window *window, uint64_t now, uint32_t bytes, struct window_mark *mark)
{
	window->in_flight += bytes;
	if (window->probing || is_paced(window, now) || (gives_way(window, now) && window_limit(window, now) < path(window)))
		mark_limited(window);
	*mark = (struct window_mark){
		.at = now, .first = window->in_flight > bytes ? window->last_done : now, .total = window->total,
		.bytes = bytes, .limited = is_limited(window),
	};
	window->last_sent = now;
}

void window_done(struct window *window, uint64_t now, const struct window_mark *mark, bool failed)
{
	/* There was room that nobody used: for want of bytes to fetch, or of leave to. */
	bool unused = window->in_flight + usual_unit(window) <= window_limit(window, now);

	window->in_flight -= mark->bytes;
	if (failed)
		return;
	window->total += mark->bytes;
	window->delivered += mark->bytes;
	window->last_done = larger(window->last_done, mark->at);
	if (unused)
		mark_limited(window);
	sample(window, now, mark);
	/* A path that is not filled shows nothing. */
	if (window->starting || is_limited(window))
		trial_rest(window, now);
	else
		trial_step(window, now);
}

void window_init(struct window *window, uint32_t unit_max, uint64_t now)
{
	memset(window, 0, sizeof(*window));
	window->unit_max = unit_max < WINDOW_UNIT_MAX ? unit_max : WINDOW_UNIT_MAX;
	window->total = 1;	/* beyond limited_until */
	window->starting = true;
	window->gain = GAIN_MIN;
	window->patience = PATIENCE_MIN;
	window->min_at = now;
	window->demand_turned = now;
	for (unsigned int i = 0; i < WINDOW_MEAN; i++)
		window->ends[i].at = now;
}
