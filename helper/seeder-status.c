// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: STATUS, by which the leecher decides when to hand over: how much has changed, how fast, and what is dirty in the page cache
 * still. The latter is in no round yet, and would be written while the program stands still; so STATUS may ask for that to be
 * written first. It is what tells how fast that goes, too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "leecher-estimate.h"
#include "regiond.h"
#include "seeder-private.h"

/* The leecher hears no later than that how far it has got. */
#define FLUSH_MS	1000u
/* So many bytes, at least, tell how fast the kernel writes. */
#define FLUSH_TELLS	(1u << 20)
/* A round tells how fast it fills when it is so old. */
#define ROUND_TELLS	(250 * 1000000ULL)

/* One STATUS that the kernel is asked for. */
struct seeder_look {
	struct seeder *seeder;		/* NULL: freed meanwhile */
	struct region *region;		/* a reference */
	struct serve_req *req;		/* NULL: answered, since the kernel took too long */
	struct loop_timer limit;
	bool flush;
	uint64_t written, began, took;	/* bytes that the kernel had written before the flush; its time */
};

static uint64_t per_second(uint64_t bytes, uint64_t ns)
{
	return ns ? (uint64_t)((double)bytes * 1e9 / (double)ns) : 0;
}

void seeder_round_closed(struct seeder *seeder)
{
	struct seeder_gauge *gauge = &seeder->gauge;
	uint64_t now = loop_now_ns(), began = gauge->began == seeder->began ? gauge->round_at : seeder->began;

	if (!seeder->round)
		gauge->pulled = seeder->export->read_bytes;
	gauge->began = seeder->began;
	gauge->dirty_rate = per_second(tracker_closed(seeder->tracker) * seeder->chunk, now - began);
	gauge->round_at = now;
	gauge->unflushed_before = gauge->unflushed;
}

void seeder_note_asked(struct seeder *seeder)
{
	seeder->asked = loop_now_ns();
	seeder->gauge.asked = seeder->export->read_bytes;
}

void seeder_note_owned(struct seeder *seeder)
{
	seeder->owned = loop_now_ns();
	seeder->gauge.owned = seeder->export->read_bytes;
}

/* Of the running round, if that is old enough to tell. What is in the page cache will be in one. */
static uint64_t dirty_rate(struct seeder *seeder)
{
	const struct seeder_gauge *gauge = &seeder->gauge;
	uint64_t at = gauge->began == seeder->began ? gauge->round_at : seeder->began, age = loop_now_ns() - at;
	uint64_t bytes = tracker_dirty(seeder->tracker) * seeder->chunk;

	if (age < ROUND_TELLS)
		return gauge->began == seeder->began ? gauge->dirty_rate : 0;
	if (gauge->unflushed > gauge->unflushed_before)
		bytes += gauge->unflushed - gauge->unflushed_before;
	return per_second(bytes, age);
}

/* Who is not tracked for is told so: it begins anew. */
static void answer(struct seeder *seeder, struct serve_req *req, const struct region *region)
{
	bool other = seeder->state == WIRE_SEED_TRACKING && !seeder_is_tracked(seeder);
	struct wire_status status = {
		.state = other ? WIRE_SEED_SERVING : (uint8_t)seeder->state, .round = seeder->round,
		.dirty = tracker_dirty(seeder->tracker), .epoch = region->info.epoch,
		.unflushed = seeder->gauge.unflushed, .dirty_rate = dirty_rate(seeder),
		.flush_rate = seeder->gauge.flush_rate, .throttle = seeder->gauge.throttle,
	};

	serve_shape(req, WIRE_S_STATUS, &status);
}

/* The kernel may be kept from even beginning to write, by a page that waits for its source: nobody is to wait for that. */
static void too_long(struct loop_timer *timer)
{
	struct seeder_look *look = container_of(timer, struct seeder_look, limit);
	struct serve_req *req = look->req;

	look->req = NULL;
	if (req && look->seeder)
		answer(look->seeder, req, look->region);
	else if (req)
		serve_fail(req, -ESHUTDOWN, "seeding has ended");
}

static void look_end(struct seeder_look *look)
{
	loop_timer_cancel(look->region->regiond->loop, &look->limit);
	if (look->seeder)
		look->seeder->gauge.look = NULL;
	if (look->seeder && look->req) {
		answer(look->seeder, look->req, look->region);
	} else if (look->req) {
		serve_fail(look->req, -ESHUTDOWN, "seeding has ended");
	}
	region_put(look->region);
	free(look);
}

static void looked(void *arg, int error, const char *why, const struct netlink_attrs *got);

static void look_at(struct seeder_look *look)
{
	struct handover_ask *ask = look->seeder ? handover_ask_new(look->region, REGIONFS_CMD_REGION_GET, looked, look) : NULL;

	if (ask)
		handover_ask(ask, look->region);
	else
		look_end(look);
}

static void flushed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder_look *look = arg;

	look->took = loop_now_ns() - look->began;
	look->flush = false;
	look_at(look);
}

static bool flush(struct seeder_look *look)
{
	struct handover_ask *ask = handover_ask_new(look->region, REGIONFS_CMD_WRITEBACK, flushed, look);

	if (!ask)
		return false;
	look->began = loop_now_ns();
	netlink_set(&ask->call.attrs, DEADLINE, deadline, FLUSH_MS);
	handover_ask(ask, look->region);
	return true;
}

/* One that was not done in time tells how fast it goes, too. */
static void take_stats(struct seeder_look *look, struct seeder_gauge *gauge, const uint64_t *stats)
{
	uint64_t written = stats[REGIONFS_STAT_WRITE_BYTES] - look->written;

	gauge->unflushed = stats[REGIONFS_STAT_DIRTY_BYTES];
	if (look->took && written >= FLUSH_TELLS)
		estimate_rate_note(&gauge->flush_rate, written, look->took);
	look->written = stats[REGIONFS_STAT_WRITE_BYTES];
}

static void looked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder_look *look = arg;
	struct seeder *seeder = look->seeder;

	if (seeder && !error)
		take_stats(look, &seeder->gauge, got->stats);
	if (error || !seeder || seeder->state != WIRE_SEED_TRACKING || !look->flush || !seeder->gauge.unflushed || !flush(look))
		look_end(look);
}

/* Without memory, or while another one is asked, what was last known is as good. */
void seeder_status(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct region *region = seeder->handover.region;
	struct wire_status_ask ask;
	struct seeder_look *look;

	look = seeder->state == WIRE_SEED_TRACKING && !seeder->gauge.look ? calloc(1, sizeof(*look)) : NULL;
	if (!look) {
		answer(seeder, req, region);
		return;
	}
	look->seeder = seeder;
	look->region = region_get(region);
	look->req = req;
	look->flush = wire_decode(WIRE_S_STATUS_ASK, body, len, &ask) >= 0 && ask.flags & WIRE_STATUS_FLUSH;
	look->limit.fire = too_long;
	loop_timer_set(region->regiond->loop, &look->limit, FLUSH_MS + FLUSH_MS / 2);
	seeder->gauge.look = look;
	look_at(look);
}

/* ---- for people ---- */

static void set(json_t *show, const char *key, uint64_t value)
{
	json_object_set_new(show, key, json_integer((json_int_t)value));
}

static void show_end(const struct seeder *seeder, json_t *show)
{
	uint64_t stopped = seeder->stopped - seeder->asked, froze = seeder->froze - seeder->stopped;
	uint64_t sent = seeder->export->read_bytes, pulled = seeder->gauge.pulled;

	set(show, "total_ms", (loop_now_ns() - seeder->began) / 1000000);
	set(show, "downtime", (seeder->owned - seeder->asked) / 1000000);
	set(show, "suspend_ms", stopped / 1000000);
	set(show, "freeze_ms", froze / 1000000);
	set(show, "handover_ms", (seeder->owned - seeder->froze) / 1000000);
	pulled = pulled && pulled < seeder->gauge.asked ? pulled : seeder->gauge.asked;
	set(show, "pull_bytes", pulled);
	set(show, "round_bytes", seeder->gauge.asked - pulled);
	set(show, "final_bytes", seeder->gauge.owned - seeder->gauge.asked);
	set(show, "behind_bytes", sent - seeder->gauge.owned);
}

/* One that an earlier helper has handed over knows nothing of how that went. */
void seeder_show_gauge(const struct seeder *seeder, json_t *show)
{
	const struct seeder_gauge *gauge = &seeder->gauge;

	if (seeder->state == WIRE_SEED_TRACKING) {
		set(show, "dirty_rate", gauge->dirty_rate);
		set(show, "flush_rate", gauge->flush_rate);
		set(show, "unflushed", gauge->unflushed);
	}
	if (gauge->throttle)
		set(show, "throttle", gauge->throttle);
	if (seeder->owned && seeder->asked)
		show_end(seeder, show);
}

void seeder_forget(struct seeder *seeder)
{
	if (seeder->gauge.look)
		seeder->gauge.look->seeder = NULL;
	seeder->gauge.look = NULL;
}
