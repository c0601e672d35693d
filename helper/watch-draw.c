// SPDX-License-Identifier: GPL-2.0
/* watch-draw: see watch-draw.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "units.h"
#include "watch-draw.h"

#define MAP_LINES	8u
#define MAP_MAX		4096u
#define PAGE		4096u
#define WAIT_GROUP	2	/* powers of two in one bar */
#define WAIT_BARS	12

static uint64_t number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static const char *string(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static void __attribute__((format(printf, 2, 3))) add(struct text *to, const char *format, ...)
{
	char line[1024];
	va_list list;

	va_start(list, format);
	vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	text_string(to, line);
}

static const char *size_text(uint64_t bytes, char text[REGIONFS_UNITS_TEXT])
{
	return regionfs_size_format(bytes, text);
}

static void add_size(struct text *to, const char *before, uint64_t bytes, const char *after)
{
	char text[REGIONFS_UNITS_TEXT];

	add(to, "%s%s%s", before, size_text(bytes, text), after);
}

static void add_age(struct text *to, const char *before, uint64_t ms, const char *after)
{
	char text[REGIONFS_UNITS_TEXT];

	add(to, "%s%s%s", before, regionfs_duration_format(ms, text), after);
}

static unsigned int percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned int)((double)part * 100 / (double)whole) : 100;
}

/* ---- the map ---- */

unsigned int watch_buckets(uint64_t size, unsigned int columns)
{
	uint64_t pages = (size + PAGE - 1) / PAGE, most = (uint64_t)columns * MAP_LINES;

	most = most < MAP_MAX ? most : MAP_MAX;
	return pages && pages < most ? (unsigned int)pages : pages ? (unsigned int)most : 1;
}

static uint64_t part(const json_t *bucket, size_t i)
{
	json_int_t value = json_integer_value(json_array_get(bucket, i));

	return value > 0 ? (uint64_t)value : 0;
}

char watch_cell(const json_t *bucket, uint64_t bytes)
{
	if (part(bucket, 3))
		return '^';
	if (part(bucket, 2))
		return '*';
	if (part(bucket, 1))
		return '>';
	return part(bucket, 0) && part(bucket, 0) >= bytes / 2 ? '#' : '.';
}

static void draw_map(struct text *to, const json_t *map, uint64_t size, unsigned int columns)
{
	const json_t *buckets = json_object_get(map, "buckets");
	uint64_t bucket = number(map, "bucket"), at = 0;
	const json_t *cell;
	size_t i;

	json_array_foreach(buckets, i, cell) {
		char c[] = "\n.";

		if (at >= size)
			break;
		c[1] = watch_cell(cell, size - at < bucket ? size - at : bucket);
		text_string(to, i && !(i % columns) ? c : c + 1);
		at += bucket;
	}
	add_size(to, at ? "\n" : "", bucket, " each: . remote  > on its way  # local  * not pushed  ^ being pushed\n");
}

/* ---- how long programs waited ---- */

static const char *wait_label(int bar, char label[32])
{
	uint64_t us = 1ULL << (WAIT_GROUP * (bar + 1));

	if (bar == WAIT_BARS - 1)
		strcpy(label, "longer");
	else if (us < 1000)
		snprintf(label, 32, "< %" PRIu64 " us", us);
	else if (us < 1000000)
		snprintf(label, 32, "< %" PRIu64 " ms", us / 1000);
	else
		snprintf(label, 32, "< %.1f s", (double)us / 1000000);
	return label;
}

static void wait_bar(struct text *to, int bar, uint64_t count, uint64_t most, unsigned int columns)
{
	unsigned int width = columns > 40 ? columns - 24 : 16;
	unsigned int length = (unsigned int)((double)count * width / (double)most);
	char label[32];

	add(to, "  %8s  ", wait_label(bar, label));
	for (unsigned int i = 0; i < length; i++)
		text_string(to, "=");
	/* what is there at all is seen */
	add(to, "%s%s%" PRIu64 "\n", count && !length ? "-" : "", count ? " " : "", count);
}

void watch_waits(struct text *to, const json_t *wait, unsigned int columns)
{
	uint64_t count[WAIT_BARS] = { 0 }, most = 0;
	int first = WAIT_BARS, last = 0;
	const json_t *value;
	size_t i;

	json_array_foreach(wait, i, value) {
		size_t bar = i / WAIT_GROUP < WAIT_BARS ? i / WAIT_GROUP : WAIT_BARS - 1;

		count[bar] += (uint64_t)json_integer_value(value);
	}
	for (int bar = 0; bar < WAIT_BARS; bar++) {
		if (!count[bar])
			continue;
		first = bar < first ? bar : first;
		last = bar;
		most = count[bar] > most ? count[bar] : most;
	}
	for (int bar = first; bar <= last; bar++)
		wait_bar(to, bar, count[bar], most, columns);
}

/* ---- the lines ---- */

/* How much more of it in a second. */
static uint64_t rate(const struct watch_frame *frame, const char *of, const char *key)
{
	const json_t *now = json_object_get(frame->now, "managed"), *before = json_object_get(frame->before, "managed");
	uint64_t a, b;

	b = number(of ? json_object_get(now, of) : now, key);
	a = number(of ? json_object_get(before, of) : before, key);
	/* counters begin anew with regiond */
	return before && b > a && frame->elapsed_ms ? (uint64_t)((double)(b - a) * 1000 / (double)frame->elapsed_ms) : 0;
}

static void draw_head(struct text *to, const struct watch_frame *frame)
{
	const json_t *managed = json_object_get(frame->now, "managed"), *source = json_object_get(managed, "source");
	const char *state = string(source, "state");
	unsigned int room = frame->columns > 30 ? frame->columns - 10 : 20;

	add(to, "%.*s", (int)room, string(frame->now, "path"));
	add_size(to, "  ", number(frame->now, "size"), "\n");
	add(to, "source    %.*s\n", (int)room, string(frame->now, "source"));
	add(to, "          %s", *state ? state : string(frame->now, "state"));
	if (!strcmp(state, "away"))
		add_age(to, " for ", number(source, "away_ms"), ": what is here is served, what is not is waited for");
	if (*string(frame->now, "error"))
		add(to, ": %.*s", (int)room, string(frame->now, "error"));
	text_string(to, "\n");
}

static void draw_pull(struct text *to, const struct watch_frame *frame)
{
	const json_t *managed = json_object_get(frame->now, "managed");
	const json_t *pull = json_object_get(managed, "pull"), *store = json_object_get(managed, "store");
	uint64_t size = number(frame->now, "size");

	add(to, "pull      %s", string(pull, "state"));
	if (store) {
		add(to, ", %u%% here", percent(number(store, "present"), size));
		add_size(to, " (", number(store, "present"), ")");
	} else {
		add_size(to, ", ", number(pull, "pulled"), " pulled");
	}
	add_size(to, ", ", frame->before ? rate(frame, NULL, "fetched") : number(pull, "rate"), "/s");
	add_size(to, ", window ", number(pull, "window"), "");
	add(to, ", round trip %.1f ms%s\n", (double)number(pull, "trip_us") / 1000,
	    json_is_true(json_object_get(managed, "bypassed")) ? ", store bypassed" : "");
}

const char *watch_waits_for(const json_t *push, char *text, size_t len)
{
	static const struct { const char *why, *sentence; } whys[] = {
		{ "away", ", whose source is away" }, { "failing", ", whose source refuses it" }, { "closed", ", which is not open" },
	};
	const char *path = string(push, "waits_for"), *why = string(push, "waits_for_why"), *sentence = "";

	for (size_t i = 0; i < sizeof(whys) / sizeof(whys[0]); i++)
		if (!strcmp(why, whys[i].why))
			sentence = whys[i].sentence;
	snprintf(text, len, "%s%s", path, *path ? sentence : "");
	return text;
}

static void draw_push(struct text *to, const struct watch_frame *frame)
{
	const json_t *managed = json_object_get(frame->now, "managed");
	const json_t *push = json_object_get(managed, "push"), *store = json_object_get(managed, "store");
	uint64_t unpushed = number(push, "unpushed");
	char other[1024];

	if (!push) {
		add_size(to, "push      no store: writes go through, ", number(json_object_get(frame->now, "stats"), "dirty_bytes"),
			 " dirty in the page cache\n");
		return;
	}
	add(to, "push      %s", string(push, "state"));
	add_size(to, ", ", unpushed, " unpushed");
	if (unpushed)
		add_age(to, ", the oldest for ", number(push, "oldest_ms"), "");
	add_size(to, ", ", frame->before ? rate(frame, "push", "pushed") : number(push, "rate"), "/s");
	if (number(push, "limit"))
		add_size(to, ", writers slowed to ", number(push, "limit"), "/s");
	add(to, "%s\n", json_is_true(json_object_get(store, "full")) ? ", store full" : "");
	if (*string(store, "error"))
		add(to, "          the local store can't be synced: %s\n", string(store, "error"));
	if (*string(push, "error"))
		add(to, "          %.*s\n", (int)frame->columns - 10, string(push, "error"));
	if (*watch_waits_for(push, other, sizeof(other)))
		add(to, "          waits for: %s\n", other);
}

static void draw_reads(struct text *to, const struct watch_frame *frame)
{
	const json_t *managed = json_object_get(frame->now, "managed");
	uint64_t hits = number(managed, "hits"), misses = number(managed, "misses");
	uint64_t hit_rate = rate(frame, NULL, "hits"), miss_rate = rate(frame, NULL, "misses");

	if (hits + misses)
		add(to, "reads     %u%% hits of %" PRIu64, percent(hits, hits + misses), hits + misses);
	else
		text_string(to, "reads     none yet");
	if (hit_rate + miss_rate)
		add(to, ", now %u%% of %" PRIu64 "/s", percent(hit_rate, hit_rate + miss_rate), hit_rate + miss_rate);
	text_string(to, "\n");
}

void watch_draw(struct text *to, const struct watch_frame *frame)
{
	const json_t *managed = json_object_get(frame->now, "managed");

	draw_head(to, frame);
	if (!frame->map)
		return;
	text_string(to, "\n");
	draw_map(to, frame->map, number(frame->now, "size"), frame->columns);
	text_string(to, "\n");
	draw_pull(to, frame);
	draw_push(to, frame);
	draw_reads(to, frame);
	if (number(managed, "hits") + number(managed, "misses"))
		text_string(to, "\nhow long reads with a program waiting took\n");
	watch_waits(to, json_object_get(managed, "wait"), frame->columns);
}
