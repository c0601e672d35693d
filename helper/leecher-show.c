// SPDX-License-Identifier: GPL-2.0
/* leecher: what people are told: how far it is, what a hand-over would cost, and in the end what it has cost. */
#include <stdio.h>

#include "leecher-private.h"
#include "units.h"

#define MS 1000000ULL

static void set(json_t *show, const char *key, uint64_t value)
{
	json_object_set_new(show, key, json_integer((json_int_t)value));
}

uint64_t leecher_at_risk(const struct leecher *leecher)
{
	const struct chunkmap *map = leecher->leech && leecher->state < LEECHER_COMPLETE ? leech_map(leecher->leech) : NULL;
	uint64_t bytes = map ? chunkmap_missing(map) * chunkmap_chunk(map) : 0;

	/* of one that is lost nothing is to be had any more */
	if (!map || leecher->lost)
		return 0;
	return bytes < chunkmap_size(map) ? bytes : chunkmap_size(map);
}

/* ---- on its way ---- */

static const char *round_text(const struct leecher *leecher, char *text, size_t len)
{
	const struct leecher_when *when = &leecher->when;
	char unit[2][REGIONFS_UNITS_TEXT];

	if (when->throttle)
		snprintf(text, len, "round %u, writers slowed to %s/s,", leecher->round, regionfs_size_format(when->throttle, unit[0]));
	else if (when->stalled)
		snprintf(text, len, "round %u, stalled: %s/s dirtied, %s/s fetched,", leecher->round,
			 regionfs_size_format(when->status.dirty_rate, unit[0]), regionfs_size_format(when->fetch_rate, unit[1]));
	else
		snprintf(text, len, "round %u, downtime now %s,", leecher->round,
			 regionfs_duration_format(when->estimate.downtime / MS, unit[0]));
	return text;
}

/* It stands before the region's path. */
const char *leecher_what(const struct leecher *leecher, char *text, size_t len)
{
	char unit[REGIONFS_UNITS_TEXT];

	switch (leecher->state) {
	case LEECHER_CONNECTING:
		return "connecting";
	case LEECHER_PULLING:
		return leecher->round && leecher->when.estimated ? round_text(leecher, text, len) : "pulling";
	case LEECHER_FINALIZING:
		return "finalizing";
	default:
		snprintf(text, len, "%s at risk, fetching the rest of", regionfs_size_format(leecher_at_risk(leecher), unit));
		return text;
	}
}

static const char *on_stall_text(const struct leecher *leecher)
{
	static const char *const names[] = {
		[LEECHER_POSTCOPY] = "postcopy", [LEECHER_THROTTLE] = "throttle", [LEECHER_WAIT] = "wait",
	};

	return names[leecher->when.on_stall];
}

static void show_stall(const struct leecher *leecher, json_t *show)
{
	const struct leecher_when *when = &leecher->when;

	json_object_set_new(show, "stalled", json_boolean(when->stalled));
	json_object_set_new(show, "on_stall", json_string(on_stall_text(leecher)));
	if (when->throttle)
		set(show, "throttle", when->throttle);
}

/* Before the hand-over, once the other side has told something. */
void leecher_show_way(const struct leecher *leecher, json_t *show)
{
	const struct leecher_when *when = &leecher->when;
	const struct chunkmap *map = leech_map(leecher->leech);
	uint64_t chunk = chunkmap_chunk(map);
	char what[128];

	json_object_set_new(show, "doing", json_string(leecher_what(leecher, what, sizeof(what))));
	json_object_set_new(show, "finalize", json_string(leecher->manual ? "manual" : "auto"));
	if (when->handover != LEECHER_AS_TOLD)
		json_object_set_new(show, "handover", json_string(when->handover == LEECHER_EARLY ? "early" : "complete"));
	set(show, "max_downtime", when->max_downtime);
	set(show, "fetch_rate", when->fetch_rate);
	show_stall(leecher, show);
	if (!when->estimated)
		return;
	set(show, "dirty_rate", when->status.dirty_rate);
	set(show, "flush_rate", when->status.flush_rate);
	set(show, "unflushed", when->status.unflushed);
	set(show, "last_round_bytes", leecher->round_dirty * chunk);
	set(show, "remaining", (chunkmap_missing(map) + when->status.dirty) * chunk + when->status.unflushed);
	set(show, "estimate_ms", when->estimate.downtime / MS);
	set(show, "behind_ms", when->estimate.behind / MS);
}

/* ---- what it was ---- */

/*
 * From the suspend hook's begin until who waits here is let in. The clocks differ, so this side's is taken, but for the way of the message that
 * began it. What starts the program here comes after that, and is told apart.
 */
static uint64_t downtime_ms(const struct leecher *leecher)
{
	uint64_t way = leecher->when.rtt / 2, took = leecher->owned - leecher->asked;

	return (took > way ? took - way : 0) / MS;
}

static void show_downtime(const struct leecher *leecher, json_t *show)
{
	uint64_t all = downtime_ms(leecher), there = (uint64_t)leecher->final.suspend_ms + leecher->final.freeze_ms;

	/* of a few ms what is measured by two clocks need not add up */
	all = all > there ? all : there;
	set(show, "downtime", all);
	set(show, "suspend_ms", leecher->final.suspend_ms);
	set(show, "freeze_ms", leecher->final.freeze_ms);
	set(show, "handover_ms", all - there);
	if (leecher->went_on > leecher->resuming && (leecher->suspend.on_resume || leecher->suspend.unit))
		set(show, "resume_ms", (leecher->went_on - leecher->resuming) / MS);
	set(show, "total_ms", (loop_now_ns() - leecher->began) / MS);
}

static void show_waits(const struct leech_stats *stats, json_t *show)
{
	json_t *waits = json_array();

	for (unsigned int i = 0; i < LEECH_HISTOGRAM; i++)
		json_array_append_new(waits, json_integer((json_int_t)stats->wait[i]));
	json_object_set_new(show, "fault_waits", waits);
}

/* What came until all had come once; in the rounds; from FINALIZE on until programs could go on here; since then. */
static void show_phases(const struct leecher *leecher, const struct leech_stats *stats, json_t *show)
{
	const struct leecher_when *when = &leecher->when;
	uint64_t first = when->pulled_once && when->first < leecher->pulled ? when->first : leecher->pulled;
	uint64_t unlocked = when->unlocked > leecher->pulled ? when->unlocked : leecher->pulled;

	set(show, "pull_bytes", first);
	set(show, "round_bytes", leecher->pulled - first);
	set(show, "final_bytes", unlocked - leecher->pulled);
	set(show, "behind_bytes", stats->fetched > unlocked ? stats->fetched - unlocked : 0);
}

/* Of an earlier helper's hand-over nothing is known. */
void leecher_show_end(const struct leecher *leecher, json_t *show)
{
	const struct leech_stats *stats = leecher->leech ? leech_stats(leecher->leech) : NULL;

	char what[128];

	if (leecher->state == LEECHER_OWNED && leecher_at_risk(leecher))
		json_object_set_new(show, "doing", json_string(leecher_what(leecher, what, sizeof(what))));
	set(show, "at_risk", leecher_at_risk(leecher));
	if (leecher->owned && leecher->asked)
		show_downtime(leecher, show);
	if (leecher->owned && leecher->asked)
		set(show, "risked", leecher->risked);
	if (stats)
		show_phases(leecher, stats, show);
	if (stats)
		show_waits(stats, show);
}

void leecher_show_bytes(const struct leecher *leecher, json_t *show)
{
	const struct leech_stats *stats = leech_stats(leecher->leech);
	const struct chunkmap *map = leech_map(leecher->leech);
	uint64_t missing = chunkmap_missing(map) * chunkmap_chunk(map), size = chunkmap_size(map);

	json_object_set_new(show, "done", json_integer((json_int_t)(missing < size ? size - missing : 0)));
	json_object_set_new(show, "total", json_integer((json_int_t)size));
	json_object_set_new(show, "bytes", json_integer((json_int_t)stats->fetched));
	json_object_set_new(show, "wire_bytes", json_integer((json_int_t)leech_wire_bytes(leecher->leech)));
	json_object_set_new(show, "rounds", json_integer(leecher->round));
	if (stats->reused)
		json_object_set_new(show, "reused_bytes", json_integer((json_int_t)stats->reused));
	if (leecher->state < LEECHER_OWNED) {
		leecher_show_way(leecher, show);
		return;
	}
	json_object_set_new(show, "pulled_bytes", json_integer((json_int_t)leecher->pulled));
	json_object_set_new(show, "faults", json_integer((json_int_t)stats->demand));
	json_object_set_new(show, "fault_wait_us",
			    json_integer((json_int_t)(stats->demand ? stats->demand_ns / stats->demand / 1000 : 0)));
	json_object_set_new(show, "fault_wait_max_us", json_integer((json_int_t)(stats->demand_max_ns / 1000)));
	json_object_set_new(show, "dirty_bytes",
			    json_integer((json_int_t)(leecher->final.dirty.total * chunkmap_chunk(map))));
}
