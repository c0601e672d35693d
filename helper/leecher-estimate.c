// SPDX-License-Identifier: GPL-2.0
/* leecher-estimate: see leecher-estimate.h. */
#include "leecher-estimate.h"
#include "wire.h"

#define SECOND		1000000000ULL
#define ROOM		(25 * 1000000ULL)
#define ROOM_CHUNKS	4u
/* of an entry in a list of dirty chunks */
#define ENTRY		12u
/* One may be chance. */
#define STALLS_MOST	2u

static uint64_t time_of(uint64_t bytes, uint64_t rate, uint64_t usual)
{
	return (uint64_t)((double)bytes * SECOND / (double)(rate ? rate : usual));
}

/* At worst no two dirty chunks are neighbours. */
static uint64_t list_time(const struct estimate_figures *figures)
{
	uint64_t chunks = (figures->dirty + figures->unflushed) / (figures->chunk ? figures->chunk : 1);

	return chunks / WIRE_RANGES_MAX * figures->rtt + time_of(chunks * ENTRY, figures->fetch_rate, ESTIMATE_FETCH_RATE);
}

void estimate_make(const struct estimate_figures *figures, struct estimate *estimate)
{
	uint64_t rest = figures->missing + figures->dirty + figures->unflushed;
	uint64_t few = time_of((uint64_t)ROOM_CHUNKS * figures->chunk, figures->fetch_rate, ESTIMATE_FETCH_RATE);

	estimate->fixed = 2 * figures->rtt + figures->hook;
	estimate->downtime = estimate->fixed + time_of(figures->unflushed, figures->flush_rate, ESTIMATE_FLUSH_RATE) +
			     list_time(figures);
	estimate->behind = time_of(rest, figures->fetch_rate, ESTIMATE_FETCH_RATE);
	estimate->room = few > ROOM ? few : ROOM;
}

bool estimate_is_worth(const struct estimate *estimate, uint64_t most)
{
	uint64_t best = estimate->fixed + estimate->room;

	return estimate->downtime + estimate->behind <= (most > best ? most : best);
}

void estimate_rate_note(uint64_t *rate, uint64_t bytes, uint64_t ns)
{
	uint64_t sample = (uint64_t)((double)bytes * SECOND / (double)(ns ? ns : 1));

	*rate = *rate ? *rate / 2 + sample / 2 : sample;
}

uint64_t estimate_bytes(uint64_t fetch_rate, uint64_t ns)
{
	return (uint64_t)((double)(fetch_rate ? fetch_rate : ESTIMATE_FETCH_RATE) * (double)ns / SECOND);
}

static bool is_smaller(uint64_t bytes, uint64_t than)
{
	return bytes <= than - than / 8;
}

/* The first round is what was changed during the first pull, however long that took: there is no round to compare it with. */
bool estimate_stalls(struct estimate_trend *trend, uint64_t bytes, uint64_t enough)
{
	bool smaller = !trend->rounds || is_smaller(bytes, trend->last);

	trend->stalls = smaller || bytes <= enough ? 0 : trend->stalls + 1;
	trend->last = bytes;
	trend->rounds++;
	return trend->stalls >= STALLS_MOST;
}

/* One that goes on as it did: it changes again so many bytes while these come. By that alone nothing is decided. */
void estimate_foresee(struct estimate_trend *trend, uint64_t bytes, uint64_t enough, uint64_t again)
{
	if (bytes > enough && !is_smaller(again, bytes))
		trend->stalls = 1;
}

/* ---- what is changed during the first pull ---- */

/* Every other one goes. */
static void thin_out(struct estimate_curve *curve)
{
	for (unsigned int i = 1; i < curve->nr; i += 2) {
		curve->ns[i / 2] = curve->ns[i];
		curve->bytes[i / 2] = curve->bytes[i];
	}
	curve->nr /= 2;
	curve->apart = curve->ns[curve->nr - 1] / curve->nr;
}

void estimate_curve_note(struct estimate_curve *curve, uint64_t ns, uint64_t bytes)
{
	if (curve->nr && ns < curve->ns[curve->nr - 1] + curve->apart)
		return;
	if (curve->nr == ESTIMATE_SAMPLES)
		thin_out(curve);
	curve->ns[curve->nr] = ns;
	curve->bytes[curve->nr++] = bytes;
}

uint64_t estimate_curve_at(const struct estimate_curve *curve, uint64_t ns)
{
	uint64_t ns_before = 0, bytes_before = 0;

	for (unsigned int i = 0; i < curve->nr; i++) {
		if (ns < curve->ns[i])
			return (uint64_t)((double)bytes_before + ((double)curve->bytes[i] - (double)bytes_before) *
					  (double)(ns - ns_before) / (double)(curve->ns[i] - ns_before));
		ns_before = curve->ns[i];
		bytes_before = curve->bytes[i];
	}
	return bytes_before;
}

/*
 * A quarter of the round is enough to tell, where that is more than an instant. And it has to be as much as comes meanwhile: of a burst at the
 * end of the pull the curve begins with next to nothing, which any trickle comes up to.
 */
bool estimate_confirms(const struct estimate_trend *trend, const struct estimate_curve *curve, uint64_t fetch_rate, uint64_t ns, uint64_t bytes)
{
	uint64_t then = estimate_curve_at(curve, ns), came = estimate_bytes(fetch_rate, ns);

	if (trend->rounds != 1 || !trend->stalls || !then || ns < SECOND / 2 || came < trend->last / 4)
		return false;
	return !is_smaller(bytes, then) && !is_smaller(bytes, came);
}

uint64_t estimate_throttle(uint64_t now, uint64_t fetch_rate, uint64_t dirty_rate, bool stalls)
{
	uint64_t half = (fetch_rate ? fetch_rate : ESTIMATE_FETCH_RATE) / 2, next = half;

	if (now && dirty_rate > half)
		next = (uint64_t)((double)now * (double)half / (double)dirty_rate);
	else if (now)
		next = dirty_rate < half / 2 ? now + now / 4 : now;
	if (now && stalls && next > now / 2)
		next = now / 2;
	/* a chunk has sixteen pages */
	if (now && next < now / 16)
		next = now / 16;
	next = next < half ? next : half;
	return next > ESTIMATE_RATE_LEAST ? next : ESTIMATE_RATE_LEAST;
}
