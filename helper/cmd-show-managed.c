// SPDX-License-Identifier: GPL-2.0
/* How stat shows a managed region: where its bytes are, and how they get there. */
#include "cmd.h"
#include "units.h"
#include "watch-draw.h"

static const struct show_field source_fields[] = {
	{ SHOW_TEXT, "state", "state" },
	{ SHOW_MS, "away_ms", "away for" },
	{ SHOW_END, NULL, NULL },
};

static const struct show_field reads_fields[] = {
	{ SHOW_NUMBER, "hits", "hits" },
	{ SHOW_SIZE, "hit_bytes", "served from here" },
	{ SHOW_NUMBER, "misses", "misses" },
	{ SHOW_SIZE, "miss_bytes", "waited for" },
	{ SHOW_SIZE, "fetched", "fetched" },
	{ SHOW_BOOL, "bypassed", "store bypassed" },
	{ SHOW_END, NULL, NULL },
};

static const struct show_field store_fields[] = {
	{ SHOW_SIZE, "present", "here" },
	{ SHOW_SIZE, "evicted", "given up again" },
	{ SHOW_NUMBER, "corrupt", "damaged chunks" },
	{ SHOW_SIZE, "log", "log" },
	{ SHOW_BOOL, "full", "full" },
	{ SHOW_TEXT, "error", "not synced" },
	{ SHOW_END, NULL, NULL },
};

static const struct show_field pull_fields[] = {
	{ SHOW_TEXT, "state", "state" },
	{ SHOW_SIZE, "pulled", "pulled" },
	{ SHOW_SIZE, "rate", "a second" },
	{ SHOW_SIZE, "in_flight", "on its way" },
	{ SHOW_SIZE, "window", "window" },
	{ SHOW_NUMBER, "trip_us", "round trip, us" },
	{ SHOW_END, NULL, NULL },
};

static const struct show_field push_fields[] = {
	{ SHOW_TEXT, "state", "state" },
	{ SHOW_SIZE, "unpushed", "not at the source" },
	{ SHOW_MS, "oldest_ms", "the oldest for" },
	{ SHOW_BOOL, "owes", "source incomplete" },
	{ SHOW_SIZE, "pushed", "pushed" },
	{ SHOW_SIZE, "saved", "written over before" },
	{ SHOW_SIZE, "rate", "a second" },
	{ SHOW_SIZE, "in_flight", "on its way" },
	{ SHOW_SIZE, "limit", "writers slowed to" },
	{ SHOW_NUMBER, "generations", "generations" },
	{ SHOW_TEXT, "error", "error" },
	{ SHOW_END, NULL, NULL },
};

static void show_part(const json_t *managed, const char *key, const struct show_field *fields, const char *title)
{
	const json_t *part = json_object_get(managed, key);

	if (json_is_object(part))
		show_fields(part, fields, title);
}

/* The figure that people look for first. */
static void show_here(const json_t *managed, json_int_t size)
{
	json_int_t present = json_integer_value(json_object_get(json_object_get(managed, "store"), "present"));
	char here[REGIONFS_UNITS_TEXT], all[REGIONFS_UNITS_TEXT];

	if (!json_object_get(managed, "store") || size <= 0)
		return;
	printf("here:      %d%%, %s of %s\n", (int)((double)present * 100 / (double)size),
	       regionfs_size_format((uint64_t)present, here), regionfs_size_format((uint64_t)size, all));
}

/* Until that has pushed what is older, or leaves the order. */
static void show_waits_for(const json_t *push)
{
	char other[1024];

	if (*watch_waits_for(push, other, sizeof(other)))
		printf("  waits for: %s\n", other);
}

void show_managed(const json_t *managed, json_int_t size)
{
	show_here(managed, size);
	show_part(managed, "source", source_fields, "source");
	if (json_object_get(managed, "pull"))
		show_fields(managed, reads_fields, "reads");
	show_part(managed, "store", store_fields, "store");
	show_part(managed, "pull", pull_fields, "pull");
	show_part(managed, "push", push_fields, "push");
	show_waits_for(json_object_get(managed, "push"));
}
